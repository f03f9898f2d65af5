-- repository: ApiKeys
-- A program authenticates with an API key, which has its own role. The database has only a hash of the key, and a MAC.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- api_keys
--   tenant_id     uuid NOT NULL DEFAULT app.current_tenant() +i
--   id            uuid NOT NULL DEFAULT gen_random_uuid()
--   name          text NOT NULL +i
--   role          text NOT NULL +i
--   key_hash      bytea NOT NULL +i
--   created_by    uuid NOT NULL +i
--   expires_at    timestamptz +i
--   last_used_at  timestamptz +u
--   revoked_at    timestamptz +u
--   created_at    timestamptz NOT NULL DEFAULT now()
--   updated_at    timestamptz NOT NULL DEFAULT now()
--   version       integer NOT NULL DEFAULT 1
--   key_mac       bytea +i +u
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, key_hash)
--   FOREIGN KEY (tenant_id, created_by) REFERENCES users(tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (octet_length(key_hash) = 32)
--   CHECK (octet_length(key_mac) = 32)
--   CHECK (char_length(name) >= 1 AND char_length(name) <= 200)
--   CHECK (role = ANY (ARRAY['admin', 'member', 'viewer']))
--   INDEX (tenant_id, created_at DESC, id DESC)
--   INDEX (tenant_id, created_by)
--   triggers: record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.
-- The MAC covers the tenant, the hash, the creator and the role. It is made with a secret key that the database does not have.

-- name: create :one
-- Creates an API key.
INSERT INTO api_keys (tenant_id, name, role, key_hash, key_mac, created_by, expires_at)
VALUES (:tenant_id, :name, :role, :key_hash, :key_mac, :created_by, :expires_at)
RETURNING id, name, role, created_by, expires_at, last_used_at, created_at, updated_at, version;

-- name: authenticate :maybe
-- The first statement of a request with an API key. Finds the key by its hash, with all that decides whether the request
-- is admitted: the MAC, the key's role, the creator's role (a key may do no more than its creator), the tenant's status,
-- the expiry. No row if the key is revoked or its creator is not an active user.
SELECT k.id AS key_id, k.created_by AS user_id, k.key_mac, k.role, u.role AS maker_role, t.status AS tenant_status,
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

-- name: page_macs :many
-- grows: tenant
-- API keys in id order, with the fields that their MACs cover: only keys that have a MAC if :has_mac is true, otherwise only keys
-- that have none.
SELECT id, created_by, role, key_hash, key_mac
  FROM api_keys
 WHERE tenant_id = :tenant_id
   AND (key_mac IS NOT NULL) = :has_mac
   AND id > :after    -- when :after
 ORDER BY id
 LIMIT :limit;

-- name: write_macs :count
-- Stores the MACs in :key_macs, which the service has computed, for the API keys in :ids.
UPDATE api_keys AS k
   SET key_mac = r.key_mac
  FROM unnest(:ids::uuid[], :key_macs::bytea[]) AS r (id, key_mac)
 WHERE k.tenant_id = :tenant_id
   AND k.id = r.id;

-- name: page :many
-- One page of the keys that are not revoked, newest first; :after_created_at and :after_id are those of the last row of the
-- previous page.
SELECT id, name, role, created_by, expires_at, last_used_at, created_at, updated_at, version
  FROM api_keys
 WHERE tenant_id = :tenant_id
   AND revoked_at IS NULL
   AND role = :role                                         -- when :role
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: revoke :count
-- Revokes an API key.
UPDATE api_keys
   SET revoked_at = now()
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND revoked_at IS NULL;

-- name: prune :value
-- grows: tenant
-- calls: prune_api_keys because the serving role may not delete keys; it asks for the bound tenant again
-- notnull: prune_api_keys because it is a count
-- Deletes API keys that were revoked or have expired longer ago than app.installation.deleted_retention, at most :limit at a
-- time.
SELECT prune_api_keys(:tenant_id, :limit);

-- name: touch :count
-- Records that the API keys in :ids have just been used. This does not change their versions, and is not recorded in the log.
UPDATE api_keys
   SET last_used_at = now()
 WHERE tenant_id = :tenant_id
   AND id = ANY (:ids::uuid[])
   AND revoked_at IS NULL;
