-- repository: Brands
-- A brand is a company for which campaigns are run. Its email addresses, phones and documents are sealed. It can have niches.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- brands
--   tenant_id               uuid NOT NULL DEFAULT app.current_tenant() +i
--   id                      uuid NOT NULL DEFAULT gen_random_uuid() +i
--   brand_name              text NOT NULL +i +u
--   username                text NOT NULL +i +u
--   email                   bytea NOT NULL +i +u
--   email_index             bytea NOT NULL +i +u
--   phone                   bytea NOT NULL +i +u
--   phone_index             bytea NOT NULL +i +u
--   legal_entity_name       text +i +u
--   company_type            text +i +u
--   brand_email             bytea +i +u
--   poc_name                text +i +u
--   poc_designation         text +i +u
--   poc_email               bytea +i +u
--   poc_contact_number      bytea +i +u
--   bio                     text +i +u
--   profile_image           text +i +u
--   incorporation_document  bytea +i +u
--   gst_document            bytea +i +u
--   pan_document            bytea +i +u
--   is_phone_verified       boolean NOT NULL DEFAULT false +u
--   is_profile_completed    boolean NOT NULL DEFAULT false
--   is_active               boolean NOT NULL DEFAULT true +i +u
--   created_at              timestamptz NOT NULL DEFAULT now()
--   updated_at              timestamptz NOT NULL DEFAULT now() +u
--   version                 integer NOT NULL DEFAULT 1
--   deleted_at              timestamptz +u
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (char_length(bio) <= 10000)
--   CHECK (app.is_sealed(brand_email))
--   CHECK (char_length(brand_name) >= 1 AND char_length(brand_name) <= 200)
--   CHECK (company_type = ANY (ARRAY['private_limited', 'public_limited', 'llp', 'partnership', 'sole_proprietorship', 'other']))
--   CHECK (app.is_sealed(email) AND octet_length(email_index) = 32)
--   CHECK (app.is_sealed(gst_document))
--   CHECK (app.is_sealed(incorporation_document))
--   CHECK (char_length(legal_entity_name) <= 200)
--   CHECK (app.is_sealed(pan_document))
--   CHECK (app.is_sealed(phone) AND octet_length(phone_index) = 32)
--   CHECK (app.is_sealed(poc_contact_number))
--   CHECK (char_length(poc_designation) <= 200)
--   CHECK (app.is_sealed(poc_email))
--   CHECK (char_length(poc_name) <= 200)
--   CHECK (char_length(profile_image) <= 2000)
--   CHECK (username ~ '^[a-z0-9._]{3,50}$')
--   INDEX (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL
--   INDEX (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL
--   UNIQUE INDEX (tenant_id, email_index) WHERE deleted_at IS NULL
--   UNIQUE INDEX (tenant_id, phone_index) WHERE deleted_at IS NULL
--   UNIQUE INDEX (tenant_id, username) WHERE deleted_at IS NULL
--   triggers: check_unused, complete, record_delete, record_insert, record_update, refuse_truncate, touch
--
-- brand_niches
--   tenant_id   uuid NOT NULL DEFAULT app.current_tenant() +i
--   id          uuid NOT NULL DEFAULT gen_random_uuid()
--   brand_id    uuid NOT NULL +i
--   niche_id    uuid NOT NULL +i
--   created_at  timestamptz NOT NULL DEFAULT now()
--   updated_at  timestamptz NOT NULL DEFAULT now()
--   version     integer NOT NULL DEFAULT 1
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, brand_id, niche_id)
--   FOREIGN KEY (tenant_id, brand_id) REFERENCES brands(tenant_id, id) ON DELETE CASCADE
--   FOREIGN KEY (niche_id) REFERENCES app.niches(id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   INDEX (niche_id)
--   triggers: record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.

-- name: create :one
-- Creates a brand with its niches. If a niche does not exist, the foreign key brand_niches_niche_id_fkey is violated. The service
-- chooses :id before the row exists, because personal data that is sealed for a row can be opened only in the row with this id.
WITH created AS (
    INSERT INTO brands (tenant_id, id, brand_name, username, email, email_index, phone, phone_index, legal_entity_name,
                        company_type, brand_email, poc_name, poc_designation, poc_email,
                        poc_contact_number, bio, profile_image, incorporation_document,
                        gst_document, pan_document, is_active)
    VALUES (:tenant_id, :id, :brand_name, :username, :email, :email_index, :phone, :phone_index, :legal_entity_name,
            :company_type, :brand_email, :poc_name, :poc_designation, :poc_email, :poc_contact_number,
            :bio, :profile_image, :incorporation_document, :gst_document, :pan_document, :is_active)
 RETURNING id, brand_name, username, email, phone, legal_entity_name, company_type, brand_email, poc_name,
           poc_designation, poc_email, poc_contact_number, bio, profile_image, incorporation_document,
           gst_document, pan_document, is_phone_verified, is_profile_completed, is_active, created_at,
           updated_at, version
), attached AS (
    INSERT INTO brand_niches (tenant_id, brand_id, niche_id)
    SELECT :tenant_id, c.id, n.niche_id
      FROM created AS c
     CROSS JOIN (SELECT DISTINCT unnest(:niche_ids::uuid[])) AS n (niche_id)
)
SELECT c.id, c.brand_name, c.username, c.email, c.phone, c.legal_entity_name, c.company_type, c.brand_email,
       c.poc_name, c.poc_designation, c.poc_email, c.poc_contact_number, c.bio, c.profile_image,
       c.incorporation_document, c.gst_document, c.pan_document, c.is_phone_verified, c.is_profile_completed,
       c.is_active, c.created_at, c.updated_at, c.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM app.niches AS n
         WHERE n.id = ANY (:niche_ids)) AS niches
  FROM created AS c;

-- name: find :one
-- Finds a live brand with its niches, by its id.
SELECT b.id, b.brand_name, b.username, b.email, b.phone, b.legal_entity_name, b.company_type, b.brand_email,
       b.poc_name, b.poc_designation, b.poc_email, b.poc_contact_number, b.bio, b.profile_image,
       b.incorporation_document, b.gst_document, b.pan_document, b.is_phone_verified, b.is_profile_completed,
       b.is_active, b.created_at, b.updated_at, b.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM brand_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.brand_id = b.id) AS niches
  FROM brands AS b
 WHERE b.tenant_id = :tenant_id
   AND b.id = :id
   AND b.deleted_at IS NULL;

-- name: find_many :many
-- unbounded: one row for each id that is asked for
-- The live brands whose ids are in :ids, each with its niches, in id order.
SELECT b.id, b.brand_name, b.username, b.email, b.phone, b.legal_entity_name, b.company_type, b.brand_email,
       b.poc_name, b.poc_designation, b.poc_email, b.poc_contact_number, b.bio, b.profile_image,
       b.incorporation_document, b.gst_document, b.pan_document, b.is_phone_verified, b.is_profile_completed,
       b.is_active, b.created_at, b.updated_at, b.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM brand_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.brand_id = b.id) AS niches
  FROM brands AS b
 WHERE b.tenant_id = :tenant_id
   AND b.id = ANY (:ids::uuid[])
   AND b.deleted_at IS NULL
 ORDER BY b.id;

-- name: exists :value
-- Whether there is a live brand with the id :id.
SELECT EXISTS (SELECT FROM brands WHERE tenant_id = :tenant_id AND id = :id AND deleted_at IS NULL);

-- name: page :many
-- One page of the live brands with their niches, newest first; :after_created_at and :after_id are those of the last row of the
-- previous page.
SELECT b.id, b.brand_name, b.username, b.email, b.phone, b.legal_entity_name, b.company_type, b.brand_email,
       b.poc_name, b.poc_designation, b.poc_email, b.poc_contact_number, b.bio, b.profile_image,
       b.incorporation_document, b.gst_document, b.pan_document, b.is_phone_verified, b.is_profile_completed,
       b.is_active, b.created_at, b.updated_at, b.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM brand_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.brand_id = b.id) AS niches
  FROM brands AS b
 WHERE b.tenant_id = :tenant_id
   AND b.deleted_at IS NULL
   AND b.username = :username                                   -- when :username
   AND b.email_index = :email_index                             -- when :email_index
   AND b.phone_index = :phone_index                             -- when :phone_index
   AND b.is_active = :is_active                                 -- when :is_active
   AND b.company_type = :company_type                           -- when :company_type
   AND (b.created_at, b.id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY b.created_at DESC, b.id DESC
 LIMIT :limit;

-- name: update :maybe
-- Changes those fields of a live brand that :given lists, if its version is :version (without :version, whatever its version).
-- Otherwise returns it unchanged, with applied = false; no row if there is no such brand. If the new email address or phone
-- number is equal to the old one (its blind index is equal), the stored sealed value stays. A different phone number counts as
-- not verified.
WITH updated AS (
    UPDATE brands
       SET brand_name             = CASE WHEN 'brand_name' = ANY (:given::text[]) THEN :brand_name ELSE brand_name END,
           username               = CASE WHEN 'username' = ANY (:given) THEN :username ELSE username END,
           email                  = CASE WHEN 'email' = ANY (:given) AND email_index <> :email_index THEN :email ELSE email END,
           email_index            = CASE WHEN 'email' = ANY (:given) THEN :email_index ELSE email_index END,
           phone                  = CASE WHEN 'phone' = ANY (:given) AND phone_index <> :phone_index THEN :phone ELSE phone END,
           phone_index            = CASE WHEN 'phone' = ANY (:given) THEN :phone_index ELSE phone_index END,
           legal_entity_name      = CASE WHEN 'legal_entity_name' = ANY (:given) THEN :legal_entity_name ELSE legal_entity_name END,
           company_type           = CASE WHEN 'company_type' = ANY (:given) THEN :company_type ELSE company_type END,
           brand_email            = CASE WHEN 'brand_email' = ANY (:given) THEN :brand_email ELSE brand_email END,
           poc_name               = CASE WHEN 'poc_name' = ANY (:given) THEN :poc_name ELSE poc_name END,
           poc_designation        = CASE WHEN 'poc_designation' = ANY (:given) THEN :poc_designation ELSE poc_designation END,
           poc_email              = CASE WHEN 'poc_email' = ANY (:given) THEN :poc_email ELSE poc_email END,
           poc_contact_number     = CASE WHEN 'poc_contact_number' = ANY (:given) THEN :poc_contact_number ELSE poc_contact_number END,
           bio                    = CASE WHEN 'bio' = ANY (:given) THEN :bio ELSE bio END,
           profile_image          = CASE WHEN 'profile_image' = ANY (:given) THEN :profile_image ELSE profile_image END,
           incorporation_document = CASE WHEN 'incorporation_document' = ANY (:given) THEN :incorporation_document ELSE incorporation_document END,
           gst_document           = CASE WHEN 'gst_document' = ANY (:given) THEN :gst_document ELSE gst_document END,
           pan_document           = CASE WHEN 'pan_document' = ANY (:given) THEN :pan_document ELSE pan_document END,
           is_active              = CASE WHEN 'is_active' = ANY (:given) THEN :is_active ELSE is_active END,
           is_phone_verified      = is_phone_verified AND NOT ('phone' = ANY (:given) AND phone_index IS DISTINCT FROM :phone_index)
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND version = :version    -- when :version
 RETURNING id, brand_name, username, email, phone, legal_entity_name, company_type, brand_email, poc_name,
           poc_designation, poc_email, poc_contact_number, bio, profile_image, incorporation_document,
           gst_document, pan_document, is_phone_verified, is_profile_completed, is_active, created_at,
           updated_at, version
), answered AS (
    SELECT id, brand_name, username, email, phone, legal_entity_name, company_type, brand_email, poc_name,
           poc_designation, poc_email, poc_contact_number, bio, profile_image, incorporation_document, gst_document,
           pan_document, is_phone_verified, is_profile_completed, is_active, created_at, updated_at, version, true AS applied
      FROM updated
     UNION ALL
    SELECT id, brand_name, username, email, phone, legal_entity_name, company_type, brand_email, poc_name,
           poc_designation, poc_email, poc_contact_number, bio, profile_image, incorporation_document, gst_document,
           pan_document, is_phone_verified, is_profile_completed, is_active, created_at, updated_at, version, false AS applied
      FROM brands
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND NOT EXISTS (SELECT FROM updated)
)
SELECT a.id, a.brand_name, a.username, a.email, a.phone, a.legal_entity_name, a.company_type, a.brand_email,
       a.poc_name, a.poc_designation, a.poc_email, a.poc_contact_number, a.bio, a.profile_image,
       a.incorporation_document, a.gst_document, a.pan_document, a.is_phone_verified, a.is_profile_completed,
       a.is_active, a.created_at, a.updated_at, a.version, a.applied,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM brand_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.brand_id = a.id) AS niches
  FROM answered AS a;

-- name: remove :value
-- Marks a live brand as deleted, if its version is :version (without :version, whatever its version). Returns true if it was
-- marked, false if it has another version, and no row if there is no such brand. A trigger raises an error if live campaigns
-- refer to the brand.
WITH removed AS (
    UPDATE brands
       SET deleted_at = now()
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND version = :version    -- when :version
 RETURNING id
)
SELECT true AS applied
  FROM removed
 UNION ALL
SELECT false AS applied
  FROM brands
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM removed);

-- name: restore :one
-- Restores a deleted brand; a brand that is not deleted stays as it is.
WITH restored AS (
       UPDATE brands
          SET deleted_at = NULL
        WHERE tenant_id = :tenant_id
          AND id = :id
    RETURNING id, brand_name, username, email, phone, legal_entity_name, company_type, brand_email, poc_name,
              poc_designation, poc_email, poc_contact_number, bio, profile_image,
              incorporation_document, gst_document, pan_document, is_phone_verified,
              is_profile_completed, is_active, created_at, updated_at, version
)
SELECT r.id, r.brand_name, r.username, r.email, r.phone, r.legal_entity_name, r.company_type, r.brand_email,
       r.poc_name, r.poc_designation, r.poc_email, r.poc_contact_number, r.bio, r.profile_image,
       r.incorporation_document, r.gst_document, r.pan_document, r.is_phone_verified, r.is_profile_completed,
       r.is_active, r.created_at, r.updated_at, r.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM brand_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.brand_id = r.id) AS niches
  FROM restored AS r;

-- name: attach_niche :count
-- Attaches a niche to a live brand and raises the brand's version. If the niche is attached already, nothing changes. The row of
-- the brand is locked first, so that concurrent changes of its niches wait for each other.
WITH attached AS (
    INSERT INTO brand_niches (tenant_id, brand_id, niche_id)
    SELECT b.tenant_id, b.id, :niche_id::uuid
      FROM brands AS b
     WHERE b.tenant_id = :tenant_id
       AND b.id = :id
       AND b.deleted_at IS NULL
       FOR NO KEY UPDATE
        ON CONFLICT ON CONSTRAINT brand_niches_tenant_id_brand_id_niche_id_key DO NOTHING
 RETURNING brand_id
)
UPDATE brands
   SET updated_at = now()
 WHERE tenant_id = :tenant_id
   AND id = (SELECT brand_id FROM attached);

-- name: detach_niche :count
-- Detaches a niche from a live brand and raises the brand's version. If the niche is not attached, nothing changes.
WITH locked AS (
    SELECT b.id
      FROM brands AS b
     WHERE b.tenant_id = :tenant_id
       AND b.id = :id
       AND b.deleted_at IS NULL
       FOR NO KEY UPDATE
), detached AS (
    DELETE FROM brand_niches AS l
     USING locked
     WHERE l.tenant_id = :tenant_id
       AND l.brand_id = locked.id
       AND l.niche_id = :niche_id
 RETURNING l.brand_id
)
UPDATE brands
   SET updated_at = now()
 WHERE tenant_id = :tenant_id
   AND id = (SELECT brand_id FROM detached);

-- name: replace_niches :count
-- Replaces the niches of a live brand by those in :niche_ids, and raises the brand's version if this changes its niches.
WITH detached AS (
    DELETE FROM brand_niches AS l
     USING brands AS b
     WHERE l.tenant_id = :tenant_id
       AND b.tenant_id = :tenant_id
       AND l.brand_id = b.id
       AND b.id = :id
       AND b.deleted_at IS NULL
       AND l.niche_id <> ALL (:niche_ids::uuid[])
 RETURNING l.brand_id
), attached AS (
    INSERT INTO brand_niches (tenant_id, brand_id, niche_id)
    SELECT b.tenant_id, b.id, n.niche_id
      FROM brands AS b
     CROSS JOIN (SELECT DISTINCT unnest(:niche_ids)) AS n (niche_id)
     WHERE b.tenant_id = :tenant_id
       AND b.id = :id
       AND b.deleted_at IS NULL
        ON CONFLICT ON CONSTRAINT brand_niches_tenant_id_brand_id_niche_id_key DO NOTHING
 RETURNING brand_id
)
UPDATE brands
   SET updated_at = now()
 WHERE tenant_id = :tenant_id
   AND id IN (SELECT brand_id FROM detached UNION SELECT brand_id FROM attached);

-- name: verify_phone :many
-- Marks the phone number with the blind index :phone_index as verified, in the live brand that has this number. Returns the
-- brand's id.
   UPDATE brands
      SET is_phone_verified = true
    WHERE tenant_id = :tenant_id
      AND phone_index = :phone_index
      AND deleted_at IS NULL
RETURNING id;

-- name: stale :many
-- The live and deleted brands, in id order, in which at least one sealed value does not begin with :prefix. The first bytes of a
-- sealed value name its key, so these are the rows that have to be sealed again with the current key.
SELECT id, version, email, phone, brand_email, poc_email, poc_contact_number, incorporation_document, gst_document, pan_document
  FROM brands
 WHERE tenant_id = :tenant_id
   AND id > :after    -- when :after
   AND (substring(email FROM 1 FOR octet_length(:prefix::bytea)) <> :prefix
        OR substring(phone FROM 1 FOR octet_length(:prefix)) <> :prefix
        OR substring(brand_email FROM 1 FOR octet_length(:prefix)) <> :prefix
        OR substring(poc_email FROM 1 FOR octet_length(:prefix)) <> :prefix
        OR substring(poc_contact_number FROM 1 FOR octet_length(:prefix)) <> :prefix
        OR substring(incorporation_document FROM 1 FOR octet_length(:prefix)) <> :prefix
        OR substring(gst_document FROM 1 FOR octet_length(:prefix)) <> :prefix
        OR substring(pan_document FROM 1 FOR octet_length(:prefix)) <> :prefix)
 ORDER BY id
 LIMIT :limit;

-- name: reseal :count
-- Replaces sealed values and their blind indexes, for example after a change of keys. Rows whose versions are not those in
-- :versions have changed since they were read, and are skipped. If an array of values contains null for a row, this column of the
-- row stays unchanged.
UPDATE brands AS b
   SET email                  = coalesce(r.email, b.email),
       email_index            = coalesce(r.email_index, b.email_index),
       phone                  = coalesce(r.phone, b.phone),
       phone_index            = coalesce(r.phone_index, b.phone_index),
       brand_email            = coalesce(r.brand_email, b.brand_email),
       poc_email              = coalesce(r.poc_email, b.poc_email),
       poc_contact_number     = coalesce(r.poc_contact_number, b.poc_contact_number),
       incorporation_document = coalesce(r.incorporation_document, b.incorporation_document),
       gst_document           = coalesce(r.gst_document, b.gst_document),
       pan_document           = coalesce(r.pan_document, b.pan_document)
  FROM unnest(:ids::uuid[], :versions::int[], :emails::bytea[], :email_indexes::bytea[], :phones::bytea[],
              :phone_indexes::bytea[], :brand_emails::bytea[], :poc_emails::bytea[],
              :poc_contact_numbers::bytea[], :incorporation_documents::bytea[],
              :gst_documents::bytea[], :pan_documents::bytea[])
       AS r (id, version, email, email_index, phone, phone_index, brand_email, poc_email, poc_contact_number, incorporation_document, gst_document, pan_document)
 WHERE b.tenant_id = :tenant_id
   AND b.id = r.id
   AND b.version = r.version;
