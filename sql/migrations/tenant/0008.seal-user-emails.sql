-- Personal data is sealed: the users' addresses too, which were plain text so far.
-- depends: 0007.create-otps

SET LOCAL lock_timeout = '4s';

DROP INDEX users_tenant_id_email_key;
ALTER TABLE users DROP CONSTRAINT users_email_check;
ALTER TABLE users ADD COLUMN email_index bytea;
-- Both are computed from the address as it was. The service seals them afterwards: quarry migrate up does, with its keys.
ALTER TABLE users ALTER COLUMN email_index TYPE bytea USING app.unsealed_index(email),
                  ALTER COLUMN email TYPE bytea USING app.unsealed(email);
ALTER TABLE users ALTER COLUMN email_index SET NOT NULL;
ALTER TABLE users ADD CONSTRAINT users_email_check CHECK (app.is_sealed(email) AND octet_length(email_index) = 32);
COMMENT ON CONSTRAINT users_email_check ON users IS 'The sealed address and the 32 byte HMAC that finds it come together.';

CREATE UNIQUE INDEX users_tenant_id_email_key ON users (tenant_id, email_index) WHERE deleted_at IS NULL;
COMMENT ON INDEX users_tenant_id_email_key IS 'An address belongs to one live user; users.find_credentials, users.page by email.';
COMMENT ON TABLE users IS 'People who sign in; the address is sealed by the service, email_index is the HMAC that finds it.';
GRANT INSERT (email_index), UPDATE (email_index) ON users TO quarry_app;

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
                CASE WHEN n.email_index IS DISTINCT FROM o.email_index THEN 'email_index' END,
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

ALTER TABLE influencers DROP CONSTRAINT influencers_email_check,
    DROP CONSTRAINT influencers_phone_check,
    ADD CONSTRAINT influencers_email_check CHECK (app.is_sealed(email) AND octet_length(email_index) = 32),
    ADD CONSTRAINT influencers_phone_check CHECK (app.is_sealed(phone) AND octet_length(phone_index) = 32);
COMMENT ON CONSTRAINT influencers_email_check ON influencers IS 'The sealed email and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT influencers_phone_check ON influencers IS 'The sealed phone and the 32 byte HMAC that finds it come together.';
ALTER TABLE brands DROP CONSTRAINT brands_email_check,
    DROP CONSTRAINT brands_phone_check,
    ADD CONSTRAINT brands_email_check CHECK (app.is_sealed(email) AND octet_length(email_index) = 32),
    ADD CONSTRAINT brands_phone_check CHECK (app.is_sealed(phone) AND octet_length(phone_index) = 32),
    ADD CONSTRAINT brands_brand_email_check CHECK (app.is_sealed(brand_email)),
    ADD CONSTRAINT brands_poc_email_check CHECK (app.is_sealed(poc_email)),
    ADD CONSTRAINT brands_poc_contact_number_check CHECK (app.is_sealed(poc_contact_number)),
    ADD CONSTRAINT brands_incorporation_document_check CHECK (app.is_sealed(incorporation_document)),
    ADD CONSTRAINT brands_gst_document_check CHECK (app.is_sealed(gst_document)),
    ADD CONSTRAINT brands_pan_document_check CHECK (app.is_sealed(pan_document));
COMMENT ON CONSTRAINT brands_email_check ON brands IS 'The sealed email and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT brands_phone_check ON brands IS 'The sealed phone and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT brands_brand_email_check ON brands IS 'Personal data has the form of sealed values.';
COMMENT ON CONSTRAINT brands_poc_email_check ON brands IS 'Personal data has the form of sealed values.';
COMMENT ON CONSTRAINT brands_poc_contact_number_check ON brands IS 'Personal data has the form of sealed values.';
COMMENT ON CONSTRAINT brands_incorporation_document_check ON brands IS 'Personal data has the form of sealed values.';
COMMENT ON CONSTRAINT brands_gst_document_check ON brands IS 'Personal data has the form of sealed values.';
COMMENT ON CONSTRAINT brands_pan_document_check ON brands IS 'Personal data has the form of sealed values.';
COMMENT ON CONSTRAINT sign_in_failures_email_hash_check ON sign_in_failures IS 'HMAC of the address.';
