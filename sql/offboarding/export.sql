-- repository: export
-- What an archive holds of a tenant: one statement per file, in the archive's order, batch by batch after the last key.

-- name: niches :many
-- The niches that the tenant refers to; by their names they are found again elsewhere.
SELECT id, name, icon, description, is_active
  FROM app.niches
 WHERE id IN (SELECT niche_id FROM influencer_niches WHERE tenant_id = :tenant_id
               UNION
              SELECT niche_id FROM brand_niches WHERE tenant_id = :tenant_id)
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: tenants :many
-- The tenant itself.
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version
  FROM app.tenants
 WHERE id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: users :many
-- Users, deleted ones too, with their password hashes.
SELECT id, email, display_name, password_hash, role, is_active, created_at, updated_at, version, deleted_at
  FROM users
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: influencers :many
-- Influencers, deleted ones too.
SELECT id, name, search_name, username, email, phone, date_of_birth, gender, bio, profile_image, is_phone_verified, is_active,
       created_at, updated_at, version, deleted_at
  FROM influencers
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: influencer_niches :many
-- Which niches the influencers are in.
SELECT id, influencer_id, niche_id, created_at, updated_at, version
  FROM influencer_niches
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: brands :many
-- Brands, deleted ones too.
SELECT id, brand_name, username, email, phone, legal_entity_name, company_type, brand_email, poc_name, poc_designation,
       poc_email, poc_contact_number, bio, profile_image, incorporation_document, gst_document, pan_document,
       is_phone_verified, is_profile_completed, is_active, created_at, updated_at, version, deleted_at
  FROM brands
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: brand_niches :many
-- Which niches the brands are in.
SELECT id, brand_id, niche_id, created_at, updated_at, version
  FROM brand_niches
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: campaigns :many
-- Campaigns, deleted ones too.
SELECT id, name, search_name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
       created_at, updated_at, version, deleted_at
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: contents :many
-- Contents of campaigns, deleted ones too.
SELECT id, campaign_id, kind, title, body, url, status, published_at, created_at, updated_at, version, deleted_at
  FROM contents
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: campaign_influencers :many
-- Who takes part in which campaign.
SELECT id, campaign_id, influencer_id, status, fee_minor, currency, created_at, updated_at, version
  FROM campaign_influencers
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: api_keys :many
-- API keys as their hashes: whoever holds a key can use it again after an import. The MAC says whether the service has made the key; it is
-- of this installation, and not for the archive.
SELECT id, name, role, key_hash, key_mac, created_by, expires_at, last_used_at, revoked_at, created_at, updated_at, version
  FROM api_keys
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: sign_in_failures :many
-- Failed sign-ins, a part of the audit.
SELECT id, email_hash, user_id, ip, user_agent, request_id, created_at
  FROM sign_in_failures
 WHERE tenant_id = :tenant_id
   AND id > :after_id    -- when :after_id
 ORDER BY id
 LIMIT :limit;

-- name: commits :many
-- The log: who did something and from where, by number.
SELECT number, xid::text AS xid, at, actor_id, session_id, ip, request_id
  FROM app.commits
 WHERE tenant_id = :tenant_id
   AND number > :after_number    -- when :after_number
 ORDER BY number
 LIMIT :limit;

-- name: changes :many
-- The log: which rows each commit changed; xid leads from one to the other.
SELECT xid::text AS xid, ordinal, table_name, operation, row_id, columns
  FROM app.changes
 WHERE tenant_id = :tenant_id
   AND (changes.xid, ordinal) > (:after_xid::text::xid8, :after_ordinal)    -- when :after_xid
 ORDER BY changes.xid, ordinal
 LIMIT :limit;
