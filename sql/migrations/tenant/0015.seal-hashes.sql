-- Hashes of tokens are sealed with a key of the service: 48 bytes in the place of 32, which an earlier release goes on writing.
-- depends: 0014.forget-everywhere

SET LOCAL lock_timeout = '4s';

ALTER TABLE sessions
    DROP CONSTRAINT sessions_token_hash_check,
    ADD CONSTRAINT sessions_token_hash_check CHECK (octet_length(token_hash) IN (32, 48));
COMMENT ON CONSTRAINT sessions_token_hash_check ON sessions IS 'SHA-256 of the secret, sealed; bare as earlier releases kept it.';
ALTER TABLE api_keys
    DROP CONSTRAINT api_keys_key_hash_check,
    ADD CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) IN (32, 48));
COMMENT ON CONSTRAINT api_keys_key_hash_check ON api_keys IS 'SHA-256 of the secret, sealed; bare as earlier releases kept it.';
ALTER TABLE change_tickets
    DROP CONSTRAINT change_tickets_token_hash_check,
    DROP CONSTRAINT change_tickets_bearer_hash_check,
    ADD CONSTRAINT change_tickets_token_hash_check CHECK (octet_length(token_hash) IN (32, 48)),
    ADD CONSTRAINT change_tickets_bearer_hash_check CHECK (octet_length(bearer_hash) IN (32, 48));
COMMENT ON CONSTRAINT change_tickets_token_hash_check ON change_tickets IS 'SHA-256 of the secret, sealed; bare as earlier releases kept it.';
COMMENT ON CONSTRAINT change_tickets_bearer_hash_check ON change_tickets IS 'SHA-256 of the bearer''s secret, sealed for this ticket; bare as earlier releases kept it.';

GRANT UPDATE (token_hash) ON sessions TO quarry_app;
GRANT UPDATE (key_hash) ON api_keys TO quarry_app;
COMMENT ON TABLE users IS 'People who sign in; address and password hash are sealed by the service, email_index is the HMAC that finds the address.';
