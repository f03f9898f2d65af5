SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.claim_keys(bytea);
ALTER TABLE app.installation DROP COLUMN keys_check;
DROP FUNCTION app.unsealed_index(text);
DROP FUNCTION app.unsealed(text);
DROP FUNCTION app.is_sealed(bytea);
