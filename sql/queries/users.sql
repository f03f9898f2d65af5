-- repository: Users
-- A user is a person of a tenant who signs in; the password is stored as an argon2 hash and never answered.

-- name: create :one
-- A new user; the address is taken when a live user has it.
INSERT INTO users (tenant_id, email, display_name, password_hash, role, is_active)
VALUES (:tenant_id, :email, :display_name, :password_hash, :role, :is_active)
RETURNING id, email, display_name, role, is_active, created_at, updated_at, version;

-- name: find :one
-- One live user.
SELECT id, email, display_name, role, is_active, created_at, updated_at, version
  FROM users
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL;

-- name: find_credentials :maybe
-- What sign-in compares: the password hash of a live user's address.
SELECT id, password_hash, is_active
  FROM users
 WHERE tenant_id = :tenant_id
   AND email = :email
   AND deleted_at IS NULL;

-- name: credentials :one
-- What a change of password compares: the password hash of a live user.
SELECT id, password_hash, is_active
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
   AND email = :email                                       -- when :email
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: update :maybe
-- Changes the given fields if the version still is the expected one; otherwise answers the row as it is, not applied.
WITH updated AS (
    UPDATE users
       SET email        = CASE WHEN 'email' = ANY (:given::text[]) THEN :email ELSE email END,
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
-- Deletes a user who owns no live campaign: true when done, false when the version has moved, no row when there is none.
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
