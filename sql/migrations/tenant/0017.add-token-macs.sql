-- Beside the hash of a token stands a MAC of what its row says, under a key of the service: a row made or changed by hand lets nobody in.
-- depends: 0016.compare-bytes

SET LOCAL lock_timeout = '4s';

-- In the order in which a request locks them: sessions or api_keys, then change_tickets.
ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
ALTER TABLE change_tickets NO FORCE ROW LEVEL SECURITY;
-- 0015 made room for sealed hashes of 48 bytes, and no release has written any. Where there are some, sessions and tickets end, and API
-- keys are revoked under the hash of no token.
DELETE FROM sessions WHERE octet_length(token_hash) <> 32;
DELETE FROM change_tickets WHERE octet_length(token_hash) <> 32 OR octet_length(bearer_hash) <> 32;
UPDATE api_keys
   SET key_hash   = sha256(key_hash),
       revoked_at = coalesce(revoked_at, now())
 WHERE octet_length(key_hash) <> 32;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
ALTER TABLE change_tickets FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;

ALTER TABLE sessions
    ADD COLUMN token_mac bytea,
    DROP CONSTRAINT sessions_token_hash_check,
    ADD CONSTRAINT sessions_token_hash_check CHECK (octet_length(token_hash) = 32),
    ADD CONSTRAINT sessions_token_mac_check CHECK (octet_length(token_mac) = 32);
COMMENT ON COLUMN sessions.token_mac IS 'HMAC-SHA-256 of tenant, token hash and user; null where an earlier release has opened the session.';
COMMENT ON CONSTRAINT sessions_token_hash_check ON sessions IS 'SHA-256 of the secret.';
COMMENT ON CONSTRAINT sessions_token_mac_check ON sessions IS 'An HMAC-SHA-256 has 32 bytes.';
ALTER TABLE api_keys
    ADD COLUMN key_mac bytea,
    DROP CONSTRAINT api_keys_key_hash_check,
    ADD CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) = 32),
    ADD CONSTRAINT api_keys_key_mac_check CHECK (octet_length(key_mac) = 32);
COMMENT ON COLUMN api_keys.key_mac IS 'HMAC-SHA-256 of tenant, key hash, maker and role; null where an earlier release has made the key.';
COMMENT ON CONSTRAINT api_keys_key_hash_check ON api_keys IS 'SHA-256 of the secret.';
COMMENT ON CONSTRAINT api_keys_key_mac_check ON api_keys IS 'An HMAC-SHA-256 has 32 bytes.';
ALTER TABLE change_tickets
    ADD COLUMN token_mac bytea,
    DROP CONSTRAINT change_tickets_token_hash_check,
    DROP CONSTRAINT change_tickets_bearer_hash_check,
    ADD CONSTRAINT change_tickets_token_hash_check CHECK (octet_length(token_hash) = 32),
    ADD CONSTRAINT change_tickets_bearer_hash_check CHECK (octet_length(bearer_hash) = 32),
    ADD CONSTRAINT change_tickets_token_mac_check CHECK (octet_length(token_mac) = 32);
COMMENT ON COLUMN change_tickets.token_mac IS 'HMAC-SHA-256 of tenant, token hash, bearer''s kind and hash; null where an earlier release has issued the ticket.';
COMMENT ON CONSTRAINT change_tickets_token_hash_check ON change_tickets IS 'SHA-256 of the secret.';
COMMENT ON CONSTRAINT change_tickets_bearer_hash_check ON change_tickets IS 'The hash that finds the session or key, which is asked whether it still holds.';
COMMENT ON CONSTRAINT change_tickets_token_mac_check ON change_tickets IS 'An HMAC-SHA-256 has 32 bytes.';

REVOKE UPDATE (token_hash) ON sessions FROM quarry_app;
REVOKE UPDATE (key_hash) ON api_keys FROM quarry_app;
GRANT SELECT (token_mac), INSERT (token_mac), UPDATE (token_mac) ON sessions TO quarry_app;
GRANT INSERT (key_mac), UPDATE (key_mac) ON api_keys TO quarry_app;
GRANT SELECT (token_mac), INSERT (token_mac) ON change_tickets TO quarry_app;

DROP TRIGGER touch ON sessions;
-- Being seen is not a change: last_seen_at alone raises no version and is not logged.
CREATE TRIGGER touch BEFORE UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id
                       OR OLD.token_hash <> NEW.token_hash OR OLD.token_mac IS DISTINCT FROM NEW.token_mac
                       OR OLD.ip IS DISTINCT FROM NEW.ip OR OLD.version <> NEW.version
                       OR OLD.user_agent IS DISTINCT FROM NEW.user_agent OR OLD.created_at <> NEW.created_at
                       OR OLD.updated_at <> NEW.updated_at
                       OR OLD.expires_at <> NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at
                       OR OLD.expired_at IS DISTINCT FROM NEW.expired_at) EXECUTE FUNCTION app.touch();
CREATE OR REPLACE FUNCTION record_sessions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
    SET enable_nestloop = off
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('sessions', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('sessions', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.user_id IS DISTINCT FROM o.user_id THEN 'user_id' END,
                CASE WHEN n.token_hash IS DISTINCT FROM o.token_hash THEN 'token_hash' END,
                CASE WHEN n.token_mac IS DISTINCT FROM o.token_mac THEN 'token_mac' END,
                CASE WHEN n.ip IS DISTINCT FROM o.ip THEN 'ip' END,
                CASE WHEN n.user_agent IS DISTINCT FROM o.user_agent THEN 'user_agent' END,
                CASE WHEN n.expires_at IS DISTINCT FROM o.expires_at THEN 'expires_at' END,
                CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END,
                CASE WHEN n.expired_at IS DISTINCT FROM o.expired_at THEN 'expired_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('sessions', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

DROP TRIGGER touch ON api_keys;
-- Being used is not a change: last_used_at alone raises no version and is not logged.
CREATE TRIGGER touch BEFORE UPDATE ON api_keys
    FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id OR OLD.name <> NEW.name OR OLD.role <> NEW.role
                       OR OLD.key_hash <> NEW.key_hash OR OLD.key_mac IS DISTINCT FROM NEW.key_mac
                       OR OLD.created_by <> NEW.created_by
                       OR OLD.expires_at IS DISTINCT FROM NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at
                       OR OLD.created_at <> NEW.created_at OR OLD.updated_at <> NEW.updated_at OR OLD.version <> NEW.version) EXECUTE FUNCTION app.touch();
CREATE OR REPLACE FUNCTION record_api_keys() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
    SET enable_nestloop = off
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('api_keys', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('api_keys', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.role IS DISTINCT FROM o.role THEN 'role' END,
                CASE WHEN n.key_hash IS DISTINCT FROM o.key_hash THEN 'key_hash' END,
                CASE WHEN n.key_mac IS DISTINCT FROM o.key_mac THEN 'key_mac' END,
                CASE WHEN n.created_by IS DISTINCT FROM o.created_by THEN 'created_by' END,
                CASE WHEN n.expires_at IS DISTINCT FROM o.expires_at THEN 'expires_at' END,
                CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('api_keys', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
