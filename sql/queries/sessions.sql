-- repository: Sessions
-- A session begins when a user signs in. Only the client has its token; the database has a hash of the token, and a MAC.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- sessions
--   tenant_id     uuid NOT NULL DEFAULT app.current_tenant() +i
--   id            uuid NOT NULL DEFAULT gen_random_uuid()
--   user_id       uuid NOT NULL +i
--   token_hash    bytea NOT NULL +i
--   ip            inet +i
--   user_agent    text +i
--   last_seen_at  timestamptz NOT NULL DEFAULT now() +u
--   expires_at    timestamptz NOT NULL +i
--   revoked_at    timestamptz +u
--   created_at    timestamptz NOT NULL DEFAULT now()
--   updated_at    timestamptz NOT NULL DEFAULT now()
--   version       integer NOT NULL DEFAULT 1
--   expired_at    timestamptz +u
--   token_mac     bytea +i +u
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, token_hash)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   FOREIGN KEY (tenant_id, user_id) REFERENCES users(tenant_id, id) ON DELETE CASCADE
--   CHECK (expires_at > created_at)
--   CHECK (octet_length(token_hash) = 32)
--   CHECK (octet_length(token_mac) = 32)
--   CHECK (char_length(user_agent) <= 500)
--   INDEX (tenant_id, user_id, created_at DESC, id DESC)
--   triggers: record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.
-- The MAC covers the tenant, the hash and the user. It is made with a secret key that the database does not have.

-- name: create :maybe
-- Creates a session for a user whose password has just been verified. No row if the stored password hash is not :password_hash
-- any more, or if the user or the tenant is not active any more. The user's row is locked, because another transaction may change
-- the password or deactivate the user at the same time. If that transaction is first, no session is created; if it is second, it
-- ends this session too.
INSERT INTO sessions (tenant_id, user_id, token_hash, token_mac, ip, user_agent, expires_at)
SELECT u.tenant_id, u.id, :token_hash, :token_mac, :ip, :user_agent, now() + :lifetime::interval
  FROM users AS u
  JOIN app.tenants AS t ON t.id = u.tenant_id
 WHERE u.tenant_id = :tenant_id
   AND t.id = :tenant_id
   AND t.status = 'active'
   AND u.id = :user_id
   AND u.password_hash = :password_hash
   AND u.is_active
   AND u.deleted_at IS NULL
   FOR NO KEY UPDATE OF u
RETURNING id, user_id, ip, user_agent, created_at, last_seen_at, expires_at;

-- name: authenticate :maybe
-- The first statement of a request with a session's token. Finds the session by the token's hash, with all that decides whether
-- the request is admitted: the MAC, the user's role and state, the tenant's status, the expiry. For an open change stream this
-- statement is run again about once a minute, and after every commit that changes the session, the user or the tenant.
SELECT s.id AS session_id, s.user_id, s.token_mac, u.role, u.is_active, t.status AS tenant_status,
       s.expired_at IS NOT NULL OR s.expires_at <= now() OR s.last_seen_at <= now() - :idle::interval AS is_expired,
       s.last_seen_at < now() - :seen_every::interval AS is_unseen,
       least(s.expires_at, s.last_seen_at + :idle::interval) AS expires_at
  FROM sessions AS s
  JOIN users AS u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
  JOIN app.tenants AS t ON t.id = s.tenant_id
 WHERE s.tenant_id = :tenant_id
   AND u.tenant_id = :tenant_id
   AND t.id = :tenant_id
   AND s.token_hash = :token_hash
   AND s.revoked_at IS NULL
   AND u.deleted_at IS NULL;

-- name: find :one
-- Finds a session by its id, if it is neither revoked nor expired and was used within the time :idle.
SELECT id, user_id, ip, user_agent, created_at, last_seen_at, expires_at
  FROM sessions
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND revoked_at IS NULL
   AND expired_at IS NULL
   AND expires_at > now()
   AND last_seen_at > now() - :idle::interval;

-- name: page :many
-- One page of a user's sessions that are neither revoked nor expired and were used within the time :idle, newest first;
-- :after_created_at and :after_id are those of the last row of the previous page.
SELECT id, user_id, ip, user_agent, created_at, last_seen_at, expires_at
  FROM sessions
 WHERE tenant_id = :tenant_id
   AND user_id = :user_id
   AND revoked_at IS NULL
   AND expired_at IS NULL
   AND expires_at > now()
   AND last_seen_at > now() - :idle::interval
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: revoke :count
-- Revokes a session. With :user_id, only if the session belongs to this user. With :roles, only if the session's user has one of
-- these roles.
UPDATE sessions
   SET revoked_at = now()
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND revoked_at IS NULL
   AND user_id = :user_id    -- when :user_id
   AND user_id IN (SELECT u.id FROM users AS u WHERE u.tenant_id = :tenant_id AND u.role = ANY (:roles::text[]))    -- when :roles
;

-- name: revoke_of_user :count
-- grows: page
-- Revokes all sessions of a user. With :keep, the session with this id is not revoked.
UPDATE sessions
   SET revoked_at = now()
 WHERE tenant_id = :tenant_id
   AND user_id = :user_id
   AND revoked_at IS NULL
   AND id <> :keep    -- when :keep
;

-- name: touch :count
-- Records that the sessions in :ids have just been used. This is not recorded in the log.
UPDATE sessions
   SET last_seen_at = now()
 WHERE tenant_id = :tenant_id
   AND id = ANY (:ids::uuid[])
   AND revoked_at IS NULL
   AND expired_at IS NULL;

-- name: expire :count
-- grows: tenant
-- unordered: it doesn't matter which go first, all of them will
-- unindexed: sessions because the idle time is a setting, so no index can hold when a session ends
-- Sets expired_at of sessions that have reached their expiry time or were not used for the time :idle, at most :limit at a time.
-- The log records this change, so it also shows the end of sessions that nobody has revoked.
UPDATE sessions
   SET expired_at = now()
 WHERE tenant_id = :tenant_id
   AND id = ANY (ARRAY(SELECT s.id
                         FROM sessions AS s
                        WHERE s.tenant_id = :tenant_id
                          AND s.expired_at IS NULL
                          AND s.revoked_at IS NULL
                          AND least(s.expires_at, s.last_seen_at + :idle::interval) <= now()
                        LIMIT :limit))
   -- These conditions are checked again when the row is locked, because the session may have been revoked or used meanwhile.
   AND expired_at IS NULL
   AND revoked_at IS NULL
   AND least(expires_at, last_seen_at + :idle::interval) <= now();

-- name: page_macs :many
-- grows: tenant
-- Sessions in id order, with the fields that their MACs cover: only sessions that have a MAC if :has_mac is true, otherwise only
-- sessions that have none.
SELECT id, user_id, token_hash, token_mac
  FROM sessions
 WHERE tenant_id = :tenant_id
   AND (token_mac IS NOT NULL) = :has_mac
   AND id > :after    -- when :after
 ORDER BY id
 LIMIT :limit;

-- name: write_macs :count
-- Stores the MACs in :token_macs, which the service has computed, for the sessions in :ids.
UPDATE sessions AS s
   SET token_mac = r.token_mac
  FROM unnest(:ids::uuid[], :token_macs::bytea[]) AS r (id, token_mac)
 WHERE s.tenant_id = :tenant_id
   AND s.id = r.id;

-- name: purge :count
-- grows: tenant
-- unordered: it doesn't matter which go first, all of them will
-- unindexed: sessions because the idle time is a setting, so no index can hold when a session ends
-- Deletes sessions that ended more than a day ago (they were revoked, expired or were not used for the time :idle), at most
-- :limit at a time.
DELETE FROM sessions
 WHERE tenant_id = :tenant_id
   AND id = ANY (ARRAY(SELECT s.id
                         FROM sessions AS s
                        WHERE s.tenant_id = :tenant_id
                          AND least(s.expires_at, s.revoked_at, s.last_seen_at + :idle::interval) < now() - interval '1 day'
                        LIMIT :limit));
