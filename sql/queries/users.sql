-- repository: Users
-- A user is a person of a tenant who signs in; the password is an argon2 hash and never answered, the address is sealed.
-- The tables, as the migrations leave them (`make schema`). +i, +u: quarry_app may insert, update the column.
--
-- users
--   tenant_id      uuid NOT NULL DEFAULT app.current_tenant() +i
--   id             uuid NOT NULL DEFAULT gen_random_uuid() +i
--   email          bytea NOT NULL +i +u
--   display_name   text NOT NULL +i +u
--   password_hash  text NOT NULL +i +u
--   role           text NOT NULL DEFAULT 'member' +i +u
--   is_active      boolean NOT NULL DEFAULT true +i +u
--   created_at     timestamptz NOT NULL DEFAULT now()
--   updated_at     timestamptz NOT NULL DEFAULT now()
--   version        integer NOT NULL DEFAULT 1
--   deleted_at     timestamptz +u
--   email_index    bytea NOT NULL +i +u
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (char_length(display_name) >= 1 AND char_length(display_name) <= 200)
--   CHECK (app.is_sealed(email) AND octet_length(email_index) = 32)
--   CHECK (role = ANY (ARRAY['owner', 'admin', 'member', 'viewer']))
--   INDEX (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL
--   INDEX (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL
--   UNIQUE INDEX (tenant_id, email_index) WHERE deleted_at IS NULL
--   triggers: check_unused, keep_an_owner, record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.

-- name: create :one
-- A new user; the address is taken when a live user has it. The id comes with it because address and password are sealed for it.
INSERT INTO users (tenant_id, id, email, email_index, display_name, password_hash, role, is_active)
VALUES (:tenant_id, :id, :email, :email_index, :display_name, :password_hash, :role, :is_active)
RETURNING id, email, display_name, role, is_active, created_at, updated_at, version;

-- name: find :one
-- One live user.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL;

-- name: lock :one
-- One live user, who stays as they are until the transaction ends: before it is decided whether the caller may change them.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   FOR NO KEY UPDATE;

-- name: find_credentials :maybe
-- What sign-in compares: the password hash of the live user with this address.
SELECT id, email, password_hash, is_active
  FROM users
 WHERE tenant_id = :tenant_id
   AND email_index = :email_index
   AND deleted_at IS NULL;

-- name: is_known :value
-- Whether a live user's address has had a session from there that is still kept.
SELECT EXISTS (SELECT
                 FROM sessions AS s
                 JOIN users AS u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
                WHERE s.tenant_id = :tenant_id
                  AND u.tenant_id = :tenant_id
                  AND u.email_index = :email_index
                  AND u.deleted_at IS NULL
                  AND s.ip = :ip) AS is_known;

-- name: credentials :one
-- What a change of password compares: the password hash of a live user.
SELECT id, email, password_hash, is_active
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL;

-- name: page :many
-- One page of the live users, newest first; :after_* is the last row of the page before.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND deleted_at IS NULL
   AND role = :role                                         -- when :role
   AND is_active = :is_active                               -- when :is_active
   AND email_index = :email_index                           -- when :email_index
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: update :maybe
-- Changes the given fields if the row still has the expected version; otherwise returns the row unchanged, with applied = false.
WITH updated AS (
    UPDATE users
       SET email        = CASE WHEN 'email' = ANY (:given::text[]) AND email_index <> :email_index THEN :email ELSE email END,
           email_index  = CASE WHEN 'email' = ANY (:given) THEN :email_index ELSE email_index END,
           display_name = CASE WHEN 'display_name' = ANY (:given) THEN :display_name ELSE display_name END,
           role         = CASE WHEN 'role' = ANY (:given) THEN :role ELSE role END,
           is_active    = CASE WHEN 'is_active' = ANY (:given) THEN :is_active ELSE is_active END
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND version = :version    -- when :version
 RETURNING id, email, display_name, role, is_active, created_at, updated_at, version
)
SELECT id, email, display_name, role, is_active, created_at, updated_at, version, true AS applied
  FROM updated
 UNION ALL
SELECT id, email, display_name, role, is_active, created_at, updated_at, version, false AS applied
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM updated);

-- name: set_password :count
-- Replaces the password hash of a live user, if it still is :current when given.
UPDATE users
   SET password_hash = :password_hash
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND password_hash = :current    -- when :current
;

-- name: remove :value
-- Soft deletion of a user to whom no live row refers: true when done, false when the version has moved, no row when there is none.
WITH removed AS (
    UPDATE users
       SET deleted_at = now(),
           is_active  = false
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
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM removed);

-- name: stale :many
-- The next users in id order whose address or password is not sealed with the key that :prefix and :hash_prefix name.
SELECT id, version, email, password_hash
  FROM users
 WHERE tenant_id = :tenant_id
   AND id > :after    -- when :after
   AND (substring(email FROM 1 FOR octet_length(:prefix::bytea)) <> :prefix OR NOT starts_with(password_hash, :hash_prefix))
 ORDER BY id
 LIMIT :limit;

-- name: reseal :count
-- Puts the same addresses and password hashes in another sealing, where nobody has changed them meanwhile; null leaves a value as it is.
UPDATE users AS u
   SET email         = coalesce(r.email, u.email),
       email_index   = coalesce(r.email_index, u.email_index),
       password_hash = coalesce(r.password_hash, u.password_hash)
  FROM unnest(:ids::uuid[], :versions::int[], :emails::bytea[], :email_indexes::bytea[], :password_hashes::text[])
       AS r (id, version, email, email_index, password_hash)
 WHERE u.tenant_id = :tenant_id
   AND u.id = r.id
   AND u.version = r.version;
