-- What a sealed value looks like: personal data is encrypted by the service, and the database only knows the form.
-- depends: 0003.create-niches

SET LOCAL lock_timeout = '4s';

-- A value begins with its form: 1 is sealed by the service (key id, nonce, ciphertext, tag), 0 is plain text that waits
-- for the service to seal it, written by seeds and by the migration that found plain text.
CREATE FUNCTION app.is_sealed(value bytea) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = ''
AS $$
    SELECT substring(value FROM 1 FOR 1) IN ('\x00', '\x01')
$$;
COMMENT ON FUNCTION app.is_sealed(bytea) IS 'Checks of columns that hold personal data: whether a value has the form of a sealed one.';

CREATE FUNCTION app.unsealed(plain text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = ''
AS $$
    SELECT '\x00'::bytea || convert_to(plain, 'UTF8')
$$;
COMMENT ON FUNCTION app.unsealed(text) IS 'Plain text that waits to be sealed (quarry pii rotate); the service refuses to read it before.';

CREATE FUNCTION app.unsealed_index(plain text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = ''
AS $$
    SELECT sha256('\x00'::bytea || convert_to(plain, 'UTF8'))
$$;
COMMENT ON FUNCTION app.unsealed_index(text) IS 'Stands in for the blind index of a value that waits to be sealed.';

GRANT EXECUTE ON FUNCTION app.is_sealed(bytea), app.unsealed(text), app.unsealed_index(text) TO quarry_app;

ALTER TABLE app.installation ADD COLUMN keys_check bytea;
ALTER TABLE app.installation ADD CONSTRAINT installation_keys_check_check CHECK (octet_length(keys_check) = 32);
COMMENT ON CONSTRAINT installation_keys_check_check ON app.installation IS 'HMAC made with the key of the blind index.';

-- The first keys that meet a database are its keys. Whoever comes with others would find nothing by its index and write
-- what nobody can read.
CREATE FUNCTION app.claim_keys(given bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    UPDATE app.installation SET keys_check = given WHERE keys_check IS NULL;
    RETURN (SELECT keys_check = given FROM app.installation);
END
$$;
COMMENT ON FUNCTION app.claim_keys(bytea) IS 'Whether these are the keys of this database; the first ones become so.';
GRANT EXECUTE ON FUNCTION app.claim_keys(bytea) TO quarry_app;
