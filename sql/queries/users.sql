-- repository: Users
-- A user is a person of a tenant who signs in. Email address and argon2 hash are sealed; the API never returns the hash.
-- The tables after all migrations (`make schema`). +i: quarry_app may insert into the column; +u: it may update it.
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
-- A new user; a violation of the unique index if a live user has this email address. The service chooses the id, because the
-- address and the password hash are sealed for this id.
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
-- One live user, locked until the transaction ends, so that the row can't change between the check whether the caller may
-- change this user and the change itself.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   FOR NO KEY UPDATE;

-- name: find_credentials :maybe
-- The credentials that sign-in compares: those of the live user with this email address.
SELECT id, email, password_hash, is_active
  FROM users
 WHERE tenant_id = :tenant_id
   AND email_index = :email_index
   AND deleted_at IS NULL;

-- name: is_known :value
-- Whether the live user with this email address has a stored session (ended or not) from this IP address.
SELECT EXISTS (SELECT
                 FROM sessions AS s
                 JOIN users AS u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
                WHERE s.tenant_id = :tenant_id
                  AND u.tenant_id = :tenant_id
                  AND u.email_index = :email_index
                  AND u.deleted_at IS NULL
                  AND s.ip = :ip) AS is_known;

-- name: credentials :one
-- The credentials that a change of password compares: those of a live user.
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
-- Replaces the password hash of a live user; with :current, only if the stored hash is still this one.
UPDATE users
   SET password_hash = :password_hash
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND password_hash = :current    -- when :current
;

-- name: remove :value
-- Soft deletion of a user if the row has the expected version; a trigger refuses it while live rows refer to the user. Returns
-- true if the user was deleted, false if the version differs, and no row if there is no such user.
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
-- The next users in id order whose email address does not begin with :prefix, or whose password hash does not begin with
-- :hash_prefix: the prefixes of values sealed with one key.
SELECT id, version, email, password_hash
  FROM users
 WHERE tenant_id = :tenant_id
   AND id > :after    -- when :after
   AND (substring(email FROM 1 FOR octet_length(:prefix::bytea)) <> :prefix OR NOT starts_with(password_hash, :hash_prefix))
 ORDER BY id
 LIMIT :limit;

-- name: reseal :count
-- Replaces sealed email addresses, their blind indexes and sealed password hashes, for example after a change of keys, unless the
-- row has changed since it was read. A null in the arrays leaves the column as it is.
UPDATE users AS u
   SET email         = coalesce(r.email, u.email),
       email_index   = coalesce(r.email_index, u.email_index),
       password_hash = coalesce(r.password_hash, u.password_hash)
  FROM unnest(:ids::uuid[], :versions::int[], :emails::bytea[], :email_indexes::bytea[], :password_hashes::text[])
       AS r (id, version, email, email_index, password_hash)
 WHERE u.tenant_id = :tenant_id
   AND u.id = r.id
   AND u.version = r.version;
