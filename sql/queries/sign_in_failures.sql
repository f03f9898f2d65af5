-- repository: SignInFailures
-- A row records a failed sign-in for the audit: the time, the IP address, and the user if the email address is a user's.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- sign_in_failures
--   tenant_id   uuid NOT NULL DEFAULT app.current_tenant() +i
--   id          uuid NOT NULL DEFAULT gen_random_uuid()
--   email_hash  bytea NOT NULL +i
--   user_id     uuid +i
--   ip          inet +i
--   user_agent  text +i
--   request_id  text +i
--   created_at  timestamptz NOT NULL DEFAULT now()
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   FOREIGN KEY (tenant_id, user_id) REFERENCES users(tenant_id, id) ON DELETE CASCADE
--   CHECK (octet_length(email_hash) = 32)
--   CHECK (char_length(user_agent) <= 500)
--   INDEX (tenant_id, created_at DESC, id DESC)
--   INDEX (tenant_id, user_id)
-- End of the tables.

-- name: create :one
-- Records a failed sign-in. :email_index is an HMAC of the email address that was tried.
INSERT INTO sign_in_failures (tenant_id, email_hash, user_id, ip, user_agent, request_id)
VALUES (:tenant_id, :email_index, :user_id, :ip, :user_agent, :request_id)
RETURNING id, user_id, ip, user_agent, request_id, created_at;

-- name: page :many
-- One page of the failed sign-ins, newest first; :after_created_at and :after_id are those of the last row of the previous page.
SELECT id, user_id, ip, user_agent, request_id, created_at
  FROM sign_in_failures
 WHERE tenant_id = :tenant_id
   AND user_id = :user_id                                   -- when :user_id
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: prune :value
-- grows: tenant
-- calls: prune_sign_in_failures because failures can't be deleted by the serving role; it asks for the bound tenant again
-- notnull: prune_sign_in_failures because it returns a count
-- Deletes records of failed sign-ins that are older than app.installation.log_retention, at most :limit at a time.
SELECT prune_sign_in_failures(:tenant_id, :limit);
