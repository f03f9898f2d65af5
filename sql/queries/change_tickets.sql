-- repository: ChangeTickets
-- A ticket opens one change stream. It is for browsers, whose EventSource can't send the header Authorization.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- change_tickets
--   tenant_id    uuid NOT NULL DEFAULT app.current_tenant() +i
--   id           uuid NOT NULL DEFAULT gen_random_uuid()
--   token_hash   bytea NOT NULL +i
--   bearer_kind  text NOT NULL +i
--   bearer_hash  bytea NOT NULL +i
--   created_at   timestamptz NOT NULL DEFAULT now()
--   expires_at   timestamptz NOT NULL +i
--   token_mac    bytea +i
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, token_hash)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (octet_length(bearer_hash) = 32)
--   CHECK (bearer_kind = ANY (ARRAY['session', 'key']))
--   CHECK (expires_at > created_at)
--   CHECK (octet_length(token_hash) = 32)
--   CHECK (octet_length(token_mac) = 32)
--   INDEX (tenant_id, expires_at)
-- End of the tables.

-- name: create :count
-- Creates a ticket for the holder of the session or API key (:bearer_kind) with the hash :bearer_hash.
INSERT INTO change_tickets (tenant_id, token_hash, token_mac, bearer_kind, bearer_hash, expires_at)
VALUES (:tenant_id, :token_hash, :token_mac, :bearer_kind, :bearer_hash, now() + :lifetime::interval);

-- name: redeem :maybe
-- Deletes a ticket, so that it can't be used again. Returns the ticket's MAC, and the kind and hash of the session or API key for
-- which it was created. No row if the ticket was used before or has expired.
DELETE FROM change_tickets
 WHERE tenant_id = :tenant_id
   AND token_hash = :token_hash
   AND expires_at > now()
RETURNING token_mac, bearer_kind, bearer_hash;

-- name: purge :count
-- grows: page
-- unordered: it doesn't matter which go first, all of them will
-- Deletes expired tickets, at most :limit at a time.
DELETE FROM change_tickets
 WHERE tenant_id = :tenant_id
   AND id = ANY (ARRAY(SELECT t.id
                         FROM change_tickets AS t
                        WHERE t.tenant_id = :tenant_id
                          AND t.expires_at <= now()
                        LIMIT :limit));
