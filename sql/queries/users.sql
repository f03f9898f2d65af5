-- repository: Users
-- A user is a person who can sign in to a tenant. Email address and password hash are sealed; the API never returns the hash.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
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
-- Creates a user. If a live user has the same email address, the unique index is violated. The service chooses :id before the row
-- exists, because email address and password hash are sealed for this id and can be opened only in the row with this id.
INSERT INTO users (tenant_id, id, email, email_index, display_name, password_hash, role, is_active)
VALUES (:tenant_id, :id, :email, :email_index, :display_name, :password_hash, :role, :is_active)
RETURNING id, email, display_name, role, is_active, created_at, updated_at, version;

-- name: find :one
-- Finds a live user by the id.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL;

-- name: lock :one
-- Finds a live user by the id, and locks the row until the transaction ends. The service then checks whether the caller may
-- change this user; the lock prevents others from changing the row between this check and the change.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   FOR NO KEY UPDATE;

-- name: find_credentials :maybe
-- For a sign-in: the id, the sealed email address and the stored password hash of the live user whose email address has the blind
-- index :email_index.
SELECT id, email, password_hash, is_active
  FROM users
 WHERE tenant_id = :tenant_id
   AND email_index = :email_index
   AND deleted_at IS NULL;

-- name: is_known :value
-- Whether the live user with this email address has begun a session from the IP address :ip. Ended sessions count too, until they
-- are purged.
SELECT EXISTS (SELECT
                 FROM sessions AS s
                 JOIN users AS u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
                WHERE s.tenant_id = :tenant_id
                  AND u.tenant_id = :tenant_id
                  AND u.email_index = :email_index
                  AND u.deleted_at IS NULL
                  AND s.ip = :ip) AS is_known;

-- name: credentials :one
-- For a change of the password: the sealed email address and the stored password hash of a live user.
SELECT id, email, password_hash, is_active
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL;

-- name: page :many
-- One page of the live users, newest first; :after_created_at and :after_id are those of the last row of the previous page.
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
-- Changes those fields of a live user that :given lists, if its version is :version (without :version, whatever its version).
-- Otherwise returns it unchanged, with applied = false; no row if there is no such user.
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
-- Replaces the stored password hash of a live user. If :current is given, only if the hash that is stored now is equal to
-- :current.
UPDATE users
   SET password_hash = :password_hash
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND password_hash = :current    -- when :current
;

-- name: remove :value
-- Marks a live user as deleted, if the row's version is :version (without :version, whatever its version). Returns true if the
-- user was marked, false if the row has another version, and no row if there is no such user. A trigger refuses the deletion of a
-- user who owns live campaigns.
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
-- The live and deleted users, in id order, whose email address does not begin with :prefix or whose password hash does not begin
-- with :hash_prefix. The first bytes of a sealed value name its key, so these are the rows that have to be sealed again with the
-- current key.
SELECT id, version, email, password_hash
  FROM users
 WHERE tenant_id = :tenant_id
   AND id > :after    -- when :after
   AND (substring(email FROM 1 FOR octet_length(:prefix::bytea)) <> :prefix OR NOT starts_with(password_hash, :hash_prefix))
 ORDER BY id
 LIMIT :limit;

-- name: reseal :count
-- Replaces sealed email addresses, their blind indexes and sealed password hashes, for example after a change of keys. Rows whose
-- versions are not those in :versions have changed since they were read, and are skipped. If an array of values contains null for
-- a row, this column of the row stays unchanged.
UPDATE users AS u
   SET email         = coalesce(r.email, u.email),
       email_index   = coalesce(r.email_index, u.email_index),
       password_hash = coalesce(r.password_hash, u.password_hash)
  FROM unnest(:ids::uuid[], :versions::int[], :emails::bytea[], :email_indexes::bytea[], :password_hashes::text[])
       AS r (id, version, email, email_index, password_hash)
 WHERE u.tenant_id = :tenant_id
   AND u.id = r.id
   AND u.version = r.version;
