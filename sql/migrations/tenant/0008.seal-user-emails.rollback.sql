SET LOCAL lock_timeout = '4s';

-- The keys are not here, so what has been sealed can't be read again: only a table without users can go back.
ALTER TABLE users NO FORCE ROW LEVEL SECURITY;
DO $check$
BEGIN
    IF EXISTS (SELECT FROM users WHERE substring(email FROM 1 FOR 1) <> '\x00') THEN
        RAISE EXCEPTION 'there are users whose addresses are sealed; their plain text can''t be had back';
    END IF;
END
$check$;
ALTER TABLE users FORCE ROW LEVEL SECURITY;

COMMENT ON CONSTRAINT sign_in_failures_email_hash_check ON sign_in_failures IS 'SHA-256 of the address.';
ALTER TABLE brands DROP CONSTRAINT brands_email_check,
    DROP CONSTRAINT brands_phone_check,
    DROP CONSTRAINT brands_brand_email_check,
    DROP CONSTRAINT brands_poc_email_check,
    DROP CONSTRAINT brands_poc_contact_number_check,
    DROP CONSTRAINT brands_incorporation_document_check,
    DROP CONSTRAINT brands_gst_document_check,
    DROP CONSTRAINT brands_pan_document_check,
    ADD CONSTRAINT brands_email_check CHECK ((octet_length(email_index) = 32) IS NOT FALSE AND (email IS NULL) = (email_index IS NULL)),
    ADD CONSTRAINT brands_phone_check CHECK ((octet_length(phone_index) = 32) IS NOT FALSE AND (phone IS NULL) = (phone_index IS NULL));
COMMENT ON CONSTRAINT brands_email_check ON brands IS 'The encrypted email and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT brands_phone_check ON brands IS 'The encrypted phone and the 32 byte HMAC that finds it come together.';
ALTER TABLE influencers DROP CONSTRAINT influencers_email_check,
    DROP CONSTRAINT influencers_phone_check,
    ADD CONSTRAINT influencers_email_check CHECK ((octet_length(email_index) = 32) IS NOT FALSE AND (email IS NULL) = (email_index IS NULL)),
    ADD CONSTRAINT influencers_phone_check CHECK ((octet_length(phone_index) = 32) IS NOT FALSE AND (phone IS NULL) = (phone_index IS NULL));
COMMENT ON CONSTRAINT influencers_email_check ON influencers IS 'The encrypted email and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT influencers_phone_check ON influencers IS 'The encrypted phone and the 32 byte HMAC that finds it come together.';

CREATE OR REPLACE FUNCTION record_users() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('users', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('users', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
                CASE WHEN n.display_name IS DISTINCT FROM o.display_name THEN 'display_name' END,
                CASE WHEN n.password_hash IS DISTINCT FROM o.password_hash THEN 'password_hash' END,
                CASE WHEN n.role IS DISTINCT FROM o.role THEN 'role' END,
                CASE WHEN n.is_active IS DISTINCT FROM o.is_active THEN 'is_active' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('users', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

DROP INDEX users_tenant_id_email_key;
ALTER TABLE users DROP CONSTRAINT users_email_check;
ALTER TABLE users DROP COLUMN email_index;
ALTER TABLE users ALTER COLUMN email TYPE text USING convert_from(substring(email FROM 2), 'UTF8');
ALTER TABLE users ADD CONSTRAINT users_email_check CHECK (email = lower(email) AND char_length(email) BETWEEN 3 AND 320);
COMMENT ON CONSTRAINT users_email_check ON users IS 'Addresses are stored lower-case, so that equality finds them.';
CREATE UNIQUE INDEX users_tenant_id_email_key ON users (tenant_id, email) WHERE deleted_at IS NULL;
COMMENT ON INDEX users_tenant_id_email_key IS 'An address belongs to one live user; users.find_credentials.';
COMMENT ON TABLE users IS 'People who sign in.';
