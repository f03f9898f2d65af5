SET LOCAL lock_timeout = '4s';

-- The keys are not here, so what has been sealed can't be had back: people sign in again, and keys of programs stand in the way.
ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY, DISABLE TRIGGER record_delete;
ALTER TABLE change_tickets NO FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys NO FORCE ROW LEVEL SECURITY;
DO $check$
BEGIN
    IF EXISTS (SELECT FROM api_keys WHERE octet_length(key_hash) <> 32) THEN
        RAISE EXCEPTION 'there are API keys whose hashes are sealed; they can''t be had back';
    END IF;
END
$check$;
DELETE FROM sessions WHERE octet_length(token_hash) <> 32;
DELETE FROM change_tickets WHERE octet_length(token_hash) <> 32;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY, ENABLE TRIGGER record_delete;
ALTER TABLE change_tickets FORCE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;

REVOKE UPDATE (token_hash) ON sessions FROM quarry_app;
REVOKE UPDATE (key_hash) ON api_keys FROM quarry_app;
ALTER TABLE sessions
    DROP CONSTRAINT sessions_token_hash_check,
    ADD CONSTRAINT sessions_token_hash_check CHECK (octet_length(token_hash) = 32);
COMMENT ON CONSTRAINT sessions_token_hash_check ON sessions IS 'SHA-256 of the secret.';
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_key_hash_check,
    ADD CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) = 32);
COMMENT ON CONSTRAINT api_keys_key_hash_check ON api_keys IS 'SHA-256 of the secret.';
ALTER TABLE change_tickets
    DROP CONSTRAINT change_tickets_token_hash_check,
    DROP CONSTRAINT change_tickets_bearer_hash_check,
    ADD CONSTRAINT change_tickets_token_hash_check CHECK (octet_length(token_hash) = 32),
    ADD CONSTRAINT change_tickets_bearer_hash_check CHECK (octet_length(bearer_hash) = 32);
COMMENT ON CONSTRAINT change_tickets_token_hash_check ON change_tickets IS 'SHA-256 of the secret.';
COMMENT ON CONSTRAINT change_tickets_bearer_hash_check ON change_tickets IS 'The hash that finds the session or key, which is asked whether it still holds.';
COMMENT ON TABLE users IS 'People who sign in; the address is sealed by the service, email_index is the HMAC that finds it.';
