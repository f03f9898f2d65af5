-- repository: IdempotencyKeys
-- A row has a caller's Idempotency-Key and the answer to its request. If the request is repeated, it gets this answer.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- idempotency_keys
--   tenant_id    uuid NOT NULL DEFAULT app.current_tenant() +i
--   id           uuid NOT NULL DEFAULT gen_random_uuid()
--   caller_id    uuid NOT NULL +i
--   key          text NOT NULL +i
--   fingerprint  bytea NOT NULL +i +u
--   xid          xid8 NOT NULL DEFAULT pg_current_xact_id() +u
--   answer       bytea +u
--   created_at   timestamptz NOT NULL DEFAULT now()
--   expires_at   timestamptz NOT NULL +i +u
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, caller_id, key)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (app.is_sealed(answer))
--   CHECK (expires_at > created_at)
--   CHECK (octet_length(fingerprint) = 32)
--   CHECK (char_length(key) >= 1 AND char_length(key) <= 200)
--   INDEX (tenant_id, expires_at)
--
-- app.commits
--   tenant_id   uuid NOT NULL
--   number      bigint NOT NULL
--   xid         xid8 NOT NULL
--   at          timestamptz NOT NULL DEFAULT clock_timestamp()
--   actor_id    uuid
--   session_id  uuid
--   ip          inet
--   request_id  text
--   PRIMARY KEY (tenant_id, number)
--   UNIQUE (tenant_id, xid)
--   INDEX (tenant_id, actor_id, number DESC) WHERE actor_id IS NOT NULL
-- End of the tables.

-- name: claim :value
-- Stores a caller's key at the beginning of the transaction of the request; if the key is stored already but has expired, its row
-- is reused. Returns the row's id; no row if the key is stored and has not expired. If a concurrent transaction has just stored
-- the same key, waits until that transaction has ended.
INSERT INTO idempotency_keys AS k (tenant_id, caller_id, key, fingerprint, expires_at)
VALUES (:tenant_id, :caller_id, :key, :fingerprint, now() + :lifetime::interval)
    ON CONFLICT ON CONSTRAINT idempotency_keys_tenant_id_caller_id_key_key DO UPDATE
   SET fingerprint = excluded.fingerprint,
       xid         = pg_current_xact_id(),
       answer      = NULL,
       expires_at  = excluded.expires_at
 WHERE k.expires_at <= now()
RETURNING k.id;

-- name: is_full :value
-- grows: page
-- unordered: they are only counted
-- Whether this table has at least :most rows of the tenant, counting expired ones that are not purged yet.
SELECT count(*) >= :most AS is_full
  FROM (SELECT k.id
          FROM idempotency_keys AS k
         WHERE k.tenant_id = :tenant_id
         LIMIT :most) AS kept;

-- name: settle :count
-- Stores the answer to the request, in the transaction that has claimed its key.
UPDATE idempotency_keys
   SET answer = :answer
 WHERE tenant_id = :tenant_id
   AND id = :id;

-- name: find :maybe
-- For a caller's key that has not expired: the fingerprint of the request that used it, the stored answer to this request, and
-- the number of its commit (null if the request has changed nothing that is recorded).
SELECT k.id, k.fingerprint, k.answer, c.number
  FROM idempotency_keys AS k
  LEFT JOIN app.commits AS c ON c.tenant_id = :tenant_id AND c.xid = k.xid
 WHERE k.tenant_id = :tenant_id
   AND k.caller_id = :caller_id
   AND k.key = :key
   AND k.expires_at > now();

-- name: purge :count
-- grows: page
-- unordered: it doesn't matter which go first, all of them will
-- Deletes expired keys together with the stored answers, at most :limit at a time.
DELETE FROM idempotency_keys
 WHERE tenant_id = :tenant_id
   AND id = ANY (ARRAY(SELECT k.id
                         FROM idempotency_keys AS k
                        WHERE k.tenant_id = :tenant_id
                          AND k.expires_at < now()
                        LIMIT :limit));

-- name: stale :many
-- The stored answers, in id order, that do not begin with :prefix. The first bytes of a sealed value name its key, so these are
-- the answers that have to be sealed again with the current key.
SELECT id, answer
  FROM idempotency_keys
 WHERE tenant_id = :tenant_id
   AND id > :after    -- when :after
   AND substring(answer FROM 1 FOR octet_length(:prefix::bytea)) <> :prefix
 ORDER BY id
 LIMIT :limit;

-- name: reseal :count
-- Replaces stored answers by the same answers, sealed with another key. The rows have no version by which a concurrent change
-- could be noticed. So this runs in the repeatable read transaction that has read them: if one of them was changed since, it
-- fails with a serialization error.
UPDATE idempotency_keys AS k
   SET answer = r.answer
  FROM unnest(:ids::uuid[], :answers::bytea[]) AS r (id, answer)
 WHERE k.tenant_id = :tenant_id
   AND k.id = r.id;
