-- repository: import
-- Writes a tenant's rows as they were: :rows is a JSON array of the archive's objects, personal data sealed again.

-- name: taken :maybe
-- scope: owner
-- The tenant that has this id or this domain already.
SELECT id, domain
  FROM app.tenants
 WHERE id = :tenant_id
    OR domain = :domain
 LIMIT 1;

-- name: missing_niches :many
-- scope: owner
-- The niches of the archive whose names are not here.
SELECT r.name
  FROM jsonb_populate_recordset(NULL::app.niches, :rows::jsonb) AS r
 WHERE NOT EXISTS (SELECT FROM app.niches AS n WHERE n.name = r.name)
 ORDER BY r.name;

-- name: new_niches :count
-- scope: owner
-- Makes the niches whose names are not there yet.
INSERT INTO app.niches (name, icon, description, is_active)
SELECT name, icon, description, is_active
  FROM jsonb_populate_recordset(NULL::app.niches, :rows::jsonb)
    ON CONFLICT ON CONSTRAINT niches_name_key DO NOTHING;

-- name: niches :many
-- scope: owner
-- The ids that niches have in the archive and here.
SELECT r.id AS archived_id, n.id
  FROM jsonb_populate_recordset(NULL::app.niches, :rows::jsonb) AS r
  JOIN app.niches AS n ON n.name = r.name;

-- name: tenants :count
-- scope: owner
-- The tenant, if the row is the one that the manifest names.
INSERT INTO app.tenants (id, name, domain, status, plan, features, configuration, created_at, updated_at, version)
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version
  FROM jsonb_populate_recordset(NULL::app.tenants, :rows::jsonb)
 WHERE id = :tenant_id;

-- name: schemas :count
-- scope: owner
-- The schema of its own that the tenant gets here.
INSERT INTO app.schemas (tenant_id, name)
VALUES (:tenant_id, :schema_name);

-- name: enter :count
-- scope: owner
-- Switches the rest of the transaction to that schema.
SELECT app.enter(:tenant_id);

-- name: users :count
-- scope: owner
-- Users.
INSERT INTO users (tenant_id, id, email, email_index, display_name, password_hash, role, is_active, created_at, updated_at,
                   version, deleted_at)
SELECT :tenant_id::uuid, id, email, email_index, display_name, password_hash, role, is_active, created_at, updated_at,
       version, deleted_at
  FROM jsonb_populate_recordset(NULL::users, :rows::jsonb);

-- name: influencers :count
-- scope: owner
-- Influencers.
INSERT INTO influencers (tenant_id, id, name, search_name, username, email, email_index, phone, phone_index, date_of_birth,
                         gender, bio, profile_image, is_phone_verified, is_active, created_at, updated_at, version,
                         deleted_at)
SELECT :tenant_id::uuid, id, name, search_name, username, email, email_index, phone, phone_index, date_of_birth,
       gender, bio, profile_image, is_phone_verified, is_active, created_at, updated_at, version,
       deleted_at
  FROM jsonb_populate_recordset(NULL::influencers, :rows::jsonb);

-- name: influencer_niches :count
-- scope: owner
-- Niches of influencers, by the ids that they have here.
INSERT INTO influencer_niches (tenant_id, id, influencer_id, niche_id, created_at, updated_at, version)
SELECT :tenant_id::uuid, id, influencer_id, niche_id, created_at, updated_at, version
  FROM jsonb_populate_recordset(NULL::influencer_niches, :rows::jsonb);

-- name: brands :count
-- scope: owner
-- Brands.
INSERT INTO brands (tenant_id, id, brand_name, username, email, email_index, phone, phone_index, legal_entity_name,
                    company_type, brand_email, poc_name, poc_designation, poc_email, poc_contact_number, bio,
                    profile_image, incorporation_document, gst_document, pan_document, is_phone_verified,
                    is_profile_completed, is_active, created_at, updated_at, version, deleted_at)
SELECT :tenant_id::uuid, id, brand_name, username, email, email_index, phone, phone_index, legal_entity_name,
       company_type, brand_email, poc_name, poc_designation, poc_email, poc_contact_number, bio,
       profile_image, incorporation_document, gst_document, pan_document, is_phone_verified,
       is_profile_completed, is_active, created_at, updated_at, version, deleted_at
  FROM jsonb_populate_recordset(NULL::brands, :rows::jsonb);

-- name: brand_niches :count
-- scope: owner
-- Niches of brands, by the ids that they have here.
INSERT INTO brand_niches (tenant_id, id, brand_id, niche_id, created_at, updated_at, version)
SELECT :tenant_id::uuid, id, brand_id, niche_id, created_at, updated_at, version
  FROM jsonb_populate_recordset(NULL::brand_niches, :rows::jsonb);

-- name: campaigns :count
-- scope: owner
-- Campaigns, deleted ones with their references to what is deleted.
INSERT INTO campaigns (tenant_id, id, name, search_name, description, status, owner_id, brand_id, budget_minor, currency,
                       starts_on, ends_on, created_at, updated_at, version, deleted_at)
SELECT :tenant_id::uuid, id, name, search_name, description, status, owner_id, brand_id, budget_minor, currency,
       starts_on, ends_on, created_at, updated_at, version, deleted_at
  FROM jsonb_populate_recordset(NULL::campaigns, :rows::jsonb);

-- name: contents :count
-- scope: owner
-- Contents, with the moment at which they were published.
INSERT INTO contents (tenant_id, id, campaign_id, kind, title, body, url, status, published_at, created_at, updated_at,
                      version, deleted_at)
SELECT :tenant_id::uuid, id, campaign_id, kind, title, body, url, status, published_at, created_at, updated_at,
       version, deleted_at
  FROM jsonb_populate_recordset(NULL::contents, :rows::jsonb);

-- name: campaign_influencers :count
-- scope: owner
-- Who takes part in which campaign.
INSERT INTO campaign_influencers (tenant_id, id, campaign_id, influencer_id, status, fee_minor, currency, created_at,
                                  updated_at, version)
SELECT :tenant_id::uuid, id, campaign_id, influencer_id, status, fee_minor, currency, created_at, updated_at, version
  FROM jsonb_populate_recordset(NULL::campaign_influencers, :rows::jsonb);

-- name: api_keys :count
-- scope: owner
-- API keys as their hashes, with MACs of this installation.
INSERT INTO api_keys (tenant_id, id, name, role, key_hash, key_mac, created_by, expires_at, last_used_at, revoked_at, created_at,
                      updated_at, version)
SELECT :tenant_id::uuid, id, name, role, key_hash, key_mac, created_by, expires_at, last_used_at, revoked_at, created_at,
       updated_at, version
  FROM jsonb_populate_recordset(NULL::api_keys, :rows::jsonb);

-- name: sign_in_failures :count
-- scope: owner
-- Failed sign-ins.
INSERT INTO sign_in_failures (tenant_id, id, email_hash, user_id, ip, user_agent, request_id, created_at)
SELECT :tenant_id::uuid, id, email_hash, user_id, ip, user_agent, request_id, created_at
  FROM jsonb_populate_recordset(NULL::sign_in_failures, :rows::jsonb);

-- name: heads :count
-- scope: owner
-- The log goes on above every number that the tenant had; its floor says that those are gone. Milliseconds of the clock
-- outrun any tenant's commits, so that a second import of one archive does not repeat the numbers of the first.
UPDATE app.heads AS h
   SET head  = n.start,
       floor = n.start
  FROM (SELECT greatest(:number::bigint + 1, (extract(epoch FROM clock_timestamp()) * 1000)::bigint) AS start) AS n
 WHERE h.tenant_id = :tenant_id;
