-- repository: Otps
-- A one-time code proves that somebody can read messages to a phone. Code and phone number are stored as HMACs.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- otps
--   tenant_id    uuid NOT NULL DEFAULT app.current_tenant() +i
--   id           uuid NOT NULL DEFAULT gen_random_uuid()
--   phone_index  bytea NOT NULL +i
--   code_hash    bytea NOT NULL +i
--   attempts     integer NOT NULL DEFAULT 0 +u
--   expires_at   timestamptz NOT NULL +i
--   used_at      timestamptz +u
--   created_at   timestamptz NOT NULL DEFAULT now()
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (attempts >= 0 AND attempts <= 10)
--   CHECK (octet_length(code_hash) = 32)
--   CHECK (expires_at > created_at)
--   CHECK (octet_length(phone_index) = 32)
--   INDEX (tenant_id, expires_at)
--   INDEX (tenant_id, phone_index, created_at DESC)
--   triggers: refuse_in_maintenance
-- End of the tables.

-- name: create :one
-- Creates a code for a phone. From now on earlier codes for this phone are not valid.
INSERT INTO otps (tenant_id, phone_index, code_hash, expires_at)
VALUES (:tenant_id, :phone_index, :code_index, now() + :lifetime::interval)
RETURNING id, expires_at;

-- name: attempt :maybe
-- Compares a guess with the newest code for a phone, counts the attempt, and returns whether the guess was right. No row if there
-- is no code for this phone, or if the newest one was used, has expired or had :attempts attempts. Concurrent guesses wait for
-- each other.
   UPDATE otps AS o
      SET attempts = o.attempts + 1,
          used_at  = CASE WHEN o.code_hash = :code_index THEN now() END
     FROM (SELECT n.id
             FROM otps AS n
            WHERE n.tenant_id = :tenant_id
              AND n.phone_index = :phone_index
            ORDER BY n.created_at DESC, n.id DESC
            LIMIT 1) AS newest
    WHERE o.tenant_id = :tenant_id
      AND o.id = newest.id
      AND o.used_at IS NULL
      AND o.expires_at > now()
      AND o.attempts < :attempts
RETURNING o.id, o.used_at IS NOT NULL AS is_right, o.attempts;

-- name: purge :count
-- grows: page
-- unordered: it doesn't matter which go first, all of them will
-- Deletes codes that expired more than a day ago, at most :limit at a time.
DELETE FROM otps
 WHERE tenant_id = :tenant_id
   AND id = ANY (ARRAY(SELECT o.id
                         FROM otps AS o
                        WHERE o.tenant_id = :tenant_id
                          AND o.expires_at < now() - interval '1 day'
                        LIMIT :limit));
