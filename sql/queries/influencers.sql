-- repository: Influencers
-- An influencer is somebody who makes content for campaigns. Email address and phone are sealed. An influencer can have niches.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- influencers
--   tenant_id          uuid NOT NULL DEFAULT app.current_tenant() +i
--   id                 uuid NOT NULL DEFAULT gen_random_uuid() +i
--   name               text NOT NULL +i +u
--   search_name        text NOT NULL
--   username           text NOT NULL +i +u
--   email              bytea NOT NULL +i +u
--   email_index        bytea NOT NULL +i +u
--   phone              bytea NOT NULL +i +u
--   phone_index        bytea NOT NULL +i +u
--   date_of_birth      date +i +u
--   gender             text +i +u
--   bio                text +i +u
--   profile_image      text +i +u
--   is_phone_verified  boolean NOT NULL DEFAULT false +u
--   is_active          boolean NOT NULL DEFAULT true +i +u
--   created_at         timestamptz NOT NULL DEFAULT now()
--   updated_at         timestamptz NOT NULL DEFAULT now() +u
--   version            integer NOT NULL DEFAULT 1
--   deleted_at         timestamptz +u
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (char_length(bio) <= 10000)
--   CHECK (app.is_sealed(email) AND octet_length(email_index) = 32)
--   CHECK (gender = ANY (ARRAY['female', 'male', 'other', 'undisclosed']))
--   CHECK (char_length(name) >= 1 AND char_length(name) <= 200)
--   CHECK (app.is_sealed(phone) AND octet_length(phone_index) = 32)
--   CHECK (char_length(profile_image) <= 2000)
--   CHECK (username ~ '^[a-z0-9._]{3,50}$')
--   INDEX (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL
--   INDEX (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL
--   INDEX (tenant_id, search_name text_pattern_ops) WHERE deleted_at IS NULL
--   UNIQUE INDEX (tenant_id, email_index) WHERE deleted_at IS NULL
--   UNIQUE INDEX (tenant_id, phone_index) WHERE deleted_at IS NULL
--   UNIQUE INDEX (tenant_id, username) WHERE deleted_at IS NULL
--   triggers: check_unused, fold_name, record_delete, record_insert, record_update, refuse_truncate, touch
--
-- influencer_niches
--   tenant_id      uuid NOT NULL DEFAULT app.current_tenant() +i
--   id             uuid NOT NULL DEFAULT gen_random_uuid()
--   influencer_id  uuid NOT NULL +i
--   niche_id       uuid NOT NULL +i
--   created_at     timestamptz NOT NULL DEFAULT now()
--   updated_at     timestamptz NOT NULL DEFAULT now()
--   version        integer NOT NULL DEFAULT 1
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, influencer_id, niche_id)
--   FOREIGN KEY (tenant_id, influencer_id) REFERENCES influencers(tenant_id, id) ON DELETE CASCADE
--   FOREIGN KEY (niche_id) REFERENCES app.niches(id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   INDEX (niche_id)
--   triggers: record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.

-- name: create :one
-- Creates an influencer with its niches. If a niche does not exist, the foreign key influencer_niches_niche_id_fkey is violated.
-- The service chooses :id before the row exists, because personal data that is sealed for a row can be opened only in the row
-- with this id.
WITH created AS (
    INSERT INTO influencers (tenant_id, id, name, username, email, email_index, phone, phone_index, date_of_birth,
                             gender, bio, profile_image, is_active)
    VALUES (:tenant_id, :id, :name, :username, :email, :email_index, :phone, :phone_index, :date_of_birth, :gender, :bio,
            :profile_image, :is_active)
 RETURNING id, name, username, email, phone, date_of_birth, gender, bio, profile_image, is_phone_verified, is_active,
           created_at, updated_at, version
), attached AS (
    INSERT INTO influencer_niches (tenant_id, influencer_id, niche_id)
    SELECT :tenant_id, c.id, n.niche_id
      FROM created AS c
     CROSS JOIN (SELECT DISTINCT unnest(:niche_ids::uuid[])) AS n (niche_id)
)
SELECT c.id, c.name, c.username, c.email, c.phone, c.date_of_birth, c.gender, c.bio, c.profile_image,
       c.is_phone_verified, c.is_active, c.created_at, c.updated_at, c.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM app.niches AS n
         WHERE n.id = ANY (:niche_ids)) AS niches
  FROM created AS c;

-- name: find :one
-- Finds a live influencer with its niches, by its id.
SELECT i.id, i.name, i.username, i.email, i.phone, i.date_of_birth, i.gender, i.bio, i.profile_image,
       i.is_phone_verified, i.is_active, i.created_at, i.updated_at, i.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM influencer_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.influencer_id = i.id) AS niches
  FROM influencers AS i
 WHERE i.tenant_id = :tenant_id
   AND i.id = :id
   AND i.deleted_at IS NULL;

-- name: find_many :many
-- unbounded: one row for each id that is asked for
-- The live influencers whose ids are in :ids, each with its niches, in id order.
SELECT i.id, i.name, i.username, i.email, i.phone, i.date_of_birth, i.gender, i.bio, i.profile_image,
       i.is_phone_verified, i.is_active, i.created_at, i.updated_at, i.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM influencer_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.influencer_id = i.id) AS niches
  FROM influencers AS i
 WHERE i.tenant_id = :tenant_id
   AND i.id = ANY (:ids::uuid[])
   AND i.deleted_at IS NULL
 ORDER BY i.id;

-- name: exists :value
-- Whether there is a live influencer with the id :id.
SELECT EXISTS (SELECT FROM influencers WHERE tenant_id = :tenant_id AND id = :id AND deleted_at IS NULL);

-- name: page :many
-- planned: q because the index finds what begins like a parameter only if the planner knows the parameter
-- One page of the live influencers with their niches, newest first; :after_created_at and :after_id are those of the last row of
-- the previous page.
SELECT i.id, i.name, i.username, i.email, i.phone, i.date_of_birth, i.gender, i.bio, i.profile_image,
       i.is_phone_verified, i.is_active, i.created_at, i.updated_at, i.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM influencer_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.influencer_id = i.id) AS niches
  FROM influencers AS i
 WHERE i.tenant_id = :tenant_id
   AND i.deleted_at IS NULL
   AND i.username = :username                                   -- when :username
   AND i.email_index = :email_index                             -- when :email_index
   AND i.phone_index = :phone_index                             -- when :phone_index
   AND i.is_active = :is_active                                 -- when :is_active
   AND starts_with(i.search_name, lower(:q))                    -- when :q
   AND (i.created_at, i.id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY i.created_at DESC, i.id DESC
 LIMIT :limit;

-- name: update :maybe
-- Changes those fields of a live influencer that :given lists, if its version is :version (without :version, whatever its
-- version). Otherwise returns it unchanged, with applied = false; no row if there is no such influencer. If the new email address
-- or phone number is equal to the old one (its blind index is equal), the stored sealed value stays. A different phone number
-- counts as not verified.
WITH updated AS (
    UPDATE influencers
       SET name              = CASE WHEN 'name' = ANY (:given::text[]) THEN :name ELSE name END,
           username          = CASE WHEN 'username' = ANY (:given) THEN :username ELSE username END,
           email             = CASE WHEN 'email' = ANY (:given) AND email_index <> :email_index THEN :email ELSE email END,
           email_index       = CASE WHEN 'email' = ANY (:given) THEN :email_index ELSE email_index END,
           phone             = CASE WHEN 'phone' = ANY (:given) AND phone_index <> :phone_index THEN :phone ELSE phone END,
           phone_index       = CASE WHEN 'phone' = ANY (:given) THEN :phone_index ELSE phone_index END,
           date_of_birth     = CASE WHEN 'date_of_birth' = ANY (:given) THEN :date_of_birth ELSE date_of_birth END,
           gender            = CASE WHEN 'gender' = ANY (:given) THEN :gender ELSE gender END,
           bio               = CASE WHEN 'bio' = ANY (:given) THEN :bio ELSE bio END,
           profile_image     = CASE WHEN 'profile_image' = ANY (:given) THEN :profile_image ELSE profile_image END,
           is_active         = CASE WHEN 'is_active' = ANY (:given) THEN :is_active ELSE is_active END,
           is_phone_verified = is_phone_verified AND NOT ('phone' = ANY (:given) AND phone_index IS DISTINCT FROM :phone_index)
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND version = :version    -- when :version
 RETURNING id, name, username, email, phone, date_of_birth, gender, bio, profile_image, is_phone_verified, is_active,
           created_at, updated_at, version
), answered AS (
    SELECT id, name, username, email, phone, date_of_birth, gender, bio, profile_image, is_phone_verified, is_active,
           created_at, updated_at, version, true AS applied
      FROM updated
     UNION ALL
    SELECT id, name, username, email, phone, date_of_birth, gender, bio, profile_image, is_phone_verified, is_active,
           created_at, updated_at, version, false AS applied
      FROM influencers
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND NOT EXISTS (SELECT FROM updated)
)
SELECT a.id, a.name, a.username, a.email, a.phone, a.date_of_birth, a.gender, a.bio, a.profile_image,
       a.is_phone_verified, a.is_active, a.created_at, a.updated_at, a.version, a.applied,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM influencer_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.influencer_id = a.id) AS niches
  FROM answered AS a;

-- name: remove :value
-- Marks a live influencer as deleted, if its version is :version (without :version, whatever its version). Returns true if it was
-- marked, false if it has another version, and no row if there is no such influencer. A trigger raises an error if the influencer
-- is invited to a live campaign, or has accepted one.
WITH removed AS (
    UPDATE influencers
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
  FROM influencers
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM removed);

-- name: restore :one
-- Restores a deleted influencer; an influencer that is not deleted stays as it is.
WITH restored AS (
       UPDATE influencers
          SET deleted_at = NULL
        WHERE tenant_id = :tenant_id
          AND id = :id
    RETURNING id, name, username, email, phone, date_of_birth, gender, bio, profile_image, is_phone_verified,
              is_active, created_at, updated_at, version
)
SELECT r.id, r.name, r.username, r.email, r.phone, r.date_of_birth, r.gender, r.bio, r.profile_image,
       r.is_phone_verified, r.is_active, r.created_at, r.updated_at, r.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'name', n.name, 'icon', n.icon) ORDER BY n.name, n.id), '[]')
          FROM influencer_niches AS l
          JOIN app.niches AS n ON n.id = l.niche_id
         WHERE l.tenant_id = :tenant_id
           AND l.influencer_id = r.id) AS niches
  FROM restored AS r;

-- name: attach_niche :count
-- Attaches a niche to a live influencer and raises the influencer's version. If the niche is attached already, nothing changes.
-- The row of the influencer is locked first, so that concurrent changes of its niches wait for each other.
WITH attached AS (
    INSERT INTO influencer_niches (tenant_id, influencer_id, niche_id)
    SELECT i.tenant_id, i.id, :niche_id::uuid
      FROM influencers AS i
     WHERE i.tenant_id = :tenant_id
       AND i.id = :id
       AND i.deleted_at IS NULL
       FOR NO KEY UPDATE
        ON CONFLICT ON CONSTRAINT influencer_niches_tenant_id_influencer_id_niche_id_key DO NOTHING
 RETURNING influencer_id
)
UPDATE influencers
   SET updated_at = now()
 WHERE tenant_id = :tenant_id
   AND id = (SELECT influencer_id FROM attached);

-- name: detach_niche :count
-- Detaches a niche from a live influencer and raises the influencer's version. If the niche is not attached, nothing changes.
WITH locked AS (
    SELECT i.id
      FROM influencers AS i
     WHERE i.tenant_id = :tenant_id
       AND i.id = :id
       AND i.deleted_at IS NULL
       FOR NO KEY UPDATE
), detached AS (
    DELETE FROM influencer_niches AS l
     USING locked
     WHERE l.tenant_id = :tenant_id
       AND l.influencer_id = locked.id
       AND l.niche_id = :niche_id
 RETURNING l.influencer_id
)
UPDATE influencers
   SET updated_at = now()
 WHERE tenant_id = :tenant_id
   AND id = (SELECT influencer_id FROM detached);

-- name: replace_niches :count
-- Replaces the niches of a live influencer by those in :niche_ids, and raises the influencer's version if this changes its
-- niches.
WITH detached AS (
    DELETE FROM influencer_niches AS l
     USING influencers AS i
     WHERE l.tenant_id = :tenant_id
       AND i.tenant_id = :tenant_id
       AND l.influencer_id = i.id
       AND i.id = :id
       AND i.deleted_at IS NULL
       AND l.niche_id <> ALL (:niche_ids::uuid[])
 RETURNING l.influencer_id
), attached AS (
    INSERT INTO influencer_niches (tenant_id, influencer_id, niche_id)
    SELECT i.tenant_id, i.id, n.niche_id
      FROM influencers AS i
     CROSS JOIN (SELECT DISTINCT unnest(:niche_ids)) AS n (niche_id)
     WHERE i.tenant_id = :tenant_id
       AND i.id = :id
       AND i.deleted_at IS NULL
        ON CONFLICT ON CONSTRAINT influencer_niches_tenant_id_influencer_id_niche_id_key DO NOTHING
 RETURNING influencer_id
)
UPDATE influencers
   SET updated_at = now()
 WHERE tenant_id = :tenant_id
   AND id IN (SELECT influencer_id FROM detached UNION SELECT influencer_id FROM attached);

-- name: verify_phone :many
-- Marks the phone number with the blind index :phone_index as verified, in the live influencer that has this number. Returns the
-- influencer's id.
   UPDATE influencers
      SET is_phone_verified = true
    WHERE tenant_id = :tenant_id
      AND phone_index = :phone_index
      AND deleted_at IS NULL
RETURNING id;

-- name: stale :many
-- The live and deleted influencers, in id order, in which at least one sealed value does not begin with :prefix. The first bytes
-- of a sealed value name its key, so these are the rows that have to be sealed again with the current key.
SELECT id, version, email, phone
  FROM influencers
 WHERE tenant_id = :tenant_id
   AND id > :after    -- when :after
   AND (substring(email FROM 1 FOR octet_length(:prefix::bytea)) <> :prefix
        OR substring(phone FROM 1 FOR octet_length(:prefix)) <> :prefix)
 ORDER BY id
 LIMIT :limit;

-- name: reseal :count
-- Replaces sealed values and their blind indexes, for example after a change of keys. Rows whose versions are not those in
-- :versions have changed since they were read, and are skipped. If an array of values contains null for a row, this column of the
-- row stays unchanged.
UPDATE influencers AS i
   SET email       = coalesce(r.email, i.email),
       email_index = coalesce(r.email_index, i.email_index),
       phone       = coalesce(r.phone, i.phone),
       phone_index = coalesce(r.phone_index, i.phone_index)
  FROM unnest(:ids::uuid[], :versions::int[], :emails::bytea[], :email_indexes::bytea[], :phones::bytea[],
              :phone_indexes::bytea[])
       AS r (id, version, email, email_index, phone, phone_index)
 WHERE i.tenant_id = :tenant_id
   AND i.id = r.id
   AND i.version = r.version;
