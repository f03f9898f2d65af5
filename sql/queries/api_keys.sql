-- repository: ApiKeys
-- An API key lets a program in with a role of its own; the key is shown once, the database keeps its hash.

-- name: create :one
-- A new key.
INSERT INTO api_keys (tenant_id, name, role, key_hash, created_by, expires_at)
VALUES (:tenant_id, :name, :role, :key_hash, :created_by, :expires_at)
RETURNING id, name, role, created_by, expires_at, last_used_at, created_at, updated_at, version;

-- name: authenticate :maybe
-- The first statement of a program's request: which key this is, and all that could speak against serving it. It lasts as
-- long as whoever made it is an active user, and may do no more than they may.
SELECT k.id AS key_id, k.created_by AS user_id, k.role, u.role AS maker_role, t.status AS tenant_status,
       coalesce(k.expires_at <= now(), false) AS is_expired,
       coalesce(k.last_used_at < now() - :seen_every::interval, true) AS is_unseen,
       k.expires_at
  FROM api_keys AS k
  JOIN users AS u ON u.tenant_id = k.tenant_id AND u.id = k.created_by
  JOIN app.tenants AS t ON t.id = k.tenant_id
 WHERE k.tenant_id = :tenant_id
   AND u.tenant_id = :tenant_id
   AND t.id = :tenant_id
   AND k.key_hash = :key_hash
   AND k.revoked_at IS NULL
   AND u.is_active
   AND u.deleted_at IS NULL;

-- name: hashes :many
-- grows: tenant
-- unindexed: api_keys because a rotation looks at every row
-- The next keys in id order that are kept in so many bytes: 32 for a bare hash, 48 for a sealed one.
SELECT id, key_hash
  FROM api_keys
 WHERE tenant_id = :tenant_id
   AND id > :after
   AND octet_length(key_hash) = :size
 ORDER BY id
 LIMIT :limit;

-- name: seal :count
-- Puts hashes that are sealed anew in the place of what was kept. Whoever else is at it puts the same ones there: a key's hash is never changed,
-- but may be gone.
UPDATE api_keys AS k
   SET key_hash = r.key_hash
  FROM unnest(:ids::uuid[], :key_hashes::bytea[]) AS r (id, key_hash)
 WHERE k.tenant_id = :tenant_id
   AND k.id = r.id;

-- name: page :many
-- One page of the keys that are not revoked, newest first; :after_* is the last row of the page before.
SELECT id, name, role, created_by, expires_at, last_used_at, created_at, updated_at, version
  FROM api_keys
 WHERE tenant_id = :tenant_id
   AND revoked_at IS NULL
   AND role = :role                                         -- when :role
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: revoke :count
-- Ends a key.
UPDATE api_keys
   SET revoked_at = now()
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND revoked_at IS NULL;

-- name: prune :value
-- grows: tenant
-- calls: prune_api_keys because the serving role may not delete keys; it asks for the bound tenant again
-- notnull: prune_api_keys because it is a count
-- Deletes for good some of the keys that ended longer ago than the retention, which the database itself knows.
SELECT prune_api_keys(:tenant_id, :limit);

-- name: touch :count
-- Notes that these keys have just been used; no change of theirs.
UPDATE api_keys
   SET last_used_at = now()
 WHERE tenant_id = :tenant_id
   AND id = ANY (:ids::uuid[])
   AND revoked_at IS NULL;
