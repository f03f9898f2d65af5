-- Brands with their niches.
-- depends: 0003.create-influencers

SET LOCAL lock_timeout = '4s';

CREATE TABLE brands (
    tenant_id              uuid        NOT NULL DEFAULT app.current_tenant(),
    id                     uuid        NOT NULL DEFAULT gen_random_uuid(),
    brand_name             text        NOT NULL,
    username               text        NOT NULL,
    email                  bytea       NOT NULL,
    email_index            bytea       NOT NULL,
    phone                  bytea       NOT NULL,
    phone_index            bytea       NOT NULL,
    legal_entity_name      text,
    company_type           text,
    brand_email            bytea,
    poc_name               text,
    poc_designation        text,
    poc_email              bytea,
    poc_contact_number     bytea,
    bio                    text,
    profile_image          text,
    incorporation_document bytea,
    gst_document           bytea,
    pan_document           bytea,
    is_phone_verified      boolean     NOT NULL DEFAULT false,
    is_profile_completed   boolean     NOT NULL DEFAULT false,
    is_active              boolean     NOT NULL DEFAULT true,
    created_at             timestamptz NOT NULL DEFAULT now(),
    updated_at             timestamptz NOT NULL DEFAULT now(),
    version                integer     NOT NULL DEFAULT 1,
    deleted_at             timestamptz,
    CONSTRAINT brands_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT brands_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT brands_brand_name_check CHECK (char_length(brand_name) BETWEEN 1 AND 200),
    CONSTRAINT brands_username_check CHECK (username ~ '^[a-z0-9._]{3,50}$'),
    CONSTRAINT brands_email_check CHECK ((octet_length(email_index) = 32) IS NOT FALSE AND (email IS NULL) = (email_index IS NULL)),
    CONSTRAINT brands_phone_check CHECK ((octet_length(phone_index) = 32) IS NOT FALSE AND (phone IS NULL) = (phone_index IS NULL)),
    CONSTRAINT brands_legal_entity_name_check CHECK (char_length(legal_entity_name) <= 200),
    CONSTRAINT brands_company_type_check CHECK (company_type IN ('private_limited', 'public_limited', 'llp', 'partnership', 'sole_proprietorship', 'other')),
    CONSTRAINT brands_poc_name_check CHECK (char_length(poc_name) <= 200),
    CONSTRAINT brands_poc_designation_check CHECK (char_length(poc_designation) <= 200),
    CONSTRAINT brands_bio_check CHECK (char_length(bio) <= 10000),
    CONSTRAINT brands_profile_image_check CHECK (char_length(profile_image) <= 2000)
);
COMMENT ON TABLE brands IS 'Profiles of brands; personal data is encrypted by the service, *_index is the HMAC that finds it.';
COMMENT ON CONSTRAINT brands_pkey ON brands IS 'Finding a brand; referenced by campaigns and associations.';
COMMENT ON CONSTRAINT brands_tenant_id_fkey ON brands IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT brands_brand_name_check ON brands IS 'Names have 1 to 200 characters.';
COMMENT ON CONSTRAINT brands_username_check ON brands IS 'Lower-case handle of 3 to 50 characters.';
COMMENT ON CONSTRAINT brands_email_check ON brands IS 'The encrypted email and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT brands_phone_check ON brands IS 'The encrypted phone and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT brands_legal_entity_name_check ON brands IS 'At most 200 characters.';
COMMENT ON CONSTRAINT brands_company_type_check ON brands IS 'The values of the API.';
COMMENT ON CONSTRAINT brands_poc_name_check ON brands IS 'At most 200 characters.';
COMMENT ON CONSTRAINT brands_poc_designation_check ON brands IS 'At most 200 characters.';
COMMENT ON CONSTRAINT brands_bio_check ON brands IS 'At most 10000 characters.';
COMMENT ON CONSTRAINT brands_profile_image_check ON brands IS 'At most 2000 characters.';
CREATE UNIQUE INDEX brands_tenant_id_username_key ON brands (tenant_id, username) WHERE deleted_at IS NULL;
COMMENT ON INDEX brands_tenant_id_username_key IS 'One live profile per username.';
CREATE UNIQUE INDEX brands_tenant_id_email_key ON brands (tenant_id, email_index) WHERE deleted_at IS NULL;
COMMENT ON INDEX brands_tenant_id_email_key IS 'One live profile per email.';
CREATE UNIQUE INDEX brands_tenant_id_phone_key ON brands (tenant_id, phone_index) WHERE deleted_at IS NULL;
COMMENT ON INDEX brands_tenant_id_phone_key IS 'One live profile per phone.';
CREATE INDEX brands_created_at_idx ON brands (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX brands_created_at_idx IS 'Page order of brands.page.';

ALTER TABLE brands ENABLE ROW LEVEL SECURITY;
ALTER TABLE brands FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON brands
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON brands IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON brands
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

-- Before a brand is written: a profile is completed when legal name, type, contact and documents are all there.
CREATE FUNCTION complete_brand() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    NEW.is_profile_completed := num_nulls(NEW.legal_entity_name, NEW.company_type, NEW.poc_name, NEW.poc_designation,
                                          NEW.poc_email, NEW.poc_contact_number, NEW.incorporation_document,
                                          NEW.gst_document, NEW.pan_document) = 0;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION complete_brand() IS 'Keeps is_profile_completed, which no caller can set.';
CREATE TRIGGER complete BEFORE INSERT OR UPDATE ON brands
    FOR EACH ROW EXECUTE FUNCTION complete_brand();

GRANT SELECT, DELETE ON brands TO quarry_app;
GRANT INSERT (tenant_id, id, brand_name, username, email, email_index, phone, phone_index, legal_entity_name, company_type, brand_email,
              poc_name, poc_designation, poc_email, poc_contact_number, bio, profile_image, incorporation_document,
              gst_document, pan_document, is_active),
      UPDATE (brand_name, username, email, email_index, phone, phone_index, legal_entity_name, company_type, brand_email,
              poc_name, poc_designation, poc_email, poc_contact_number, bio, profile_image, incorporation_document,
              gst_document, pan_document, is_phone_verified, is_active, updated_at, deleted_at) ON brands TO quarry_app;

CREATE FUNCTION record_brands() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('brands', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('brands', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.brand_name IS DISTINCT FROM o.brand_name THEN 'brand_name' END,
                CASE WHEN n.username IS DISTINCT FROM o.username THEN 'username' END,
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
                CASE WHEN n.email_index IS DISTINCT FROM o.email_index THEN 'email_index' END,
                CASE WHEN n.phone IS DISTINCT FROM o.phone THEN 'phone' END,
                CASE WHEN n.phone_index IS DISTINCT FROM o.phone_index THEN 'phone_index' END,
                CASE WHEN n.legal_entity_name IS DISTINCT FROM o.legal_entity_name THEN 'legal_entity_name' END,
                CASE WHEN n.company_type IS DISTINCT FROM o.company_type THEN 'company_type' END,
                CASE WHEN n.brand_email IS DISTINCT FROM o.brand_email THEN 'brand_email' END,
                CASE WHEN n.poc_name IS DISTINCT FROM o.poc_name THEN 'poc_name' END,
                CASE WHEN n.poc_designation IS DISTINCT FROM o.poc_designation THEN 'poc_designation' END,
                CASE WHEN n.poc_email IS DISTINCT FROM o.poc_email THEN 'poc_email' END,
                CASE WHEN n.poc_contact_number IS DISTINCT FROM o.poc_contact_number THEN 'poc_contact_number' END,
                CASE WHEN n.bio IS DISTINCT FROM o.bio THEN 'bio' END,
                CASE WHEN n.profile_image IS DISTINCT FROM o.profile_image THEN 'profile_image' END,
                CASE WHEN n.incorporation_document IS DISTINCT FROM o.incorporation_document THEN 'incorporation_document' END,
                CASE WHEN n.gst_document IS DISTINCT FROM o.gst_document THEN 'gst_document' END,
                CASE WHEN n.pan_document IS DISTINCT FROM o.pan_document THEN 'pan_document' END,
                CASE WHEN n.is_phone_verified IS DISTINCT FROM o.is_phone_verified THEN 'is_phone_verified' END,
                CASE WHEN n.is_profile_completed IS DISTINCT FROM o.is_profile_completed THEN 'is_profile_completed' END,
                CASE WHEN n.is_active IS DISTINCT FROM o.is_active THEN 'is_active' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('brands', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_brands() IS 'Writes changes of brands to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON brands
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_brands();
CREATE TRIGGER record_update AFTER UPDATE ON brands
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_brands();
CREATE TRIGGER record_delete AFTER DELETE ON brands
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_brands();

CREATE TABLE brand_niches (
    tenant_id  uuid        NOT NULL DEFAULT app.current_tenant(),
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    brand_id   uuid        NOT NULL,
    niche_id   uuid        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version    integer     NOT NULL DEFAULT 1,
    CONSTRAINT brand_niches_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT brand_niches_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT brand_niches_brand_id_fkey FOREIGN KEY (tenant_id, brand_id) REFERENCES brands (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT brand_niches_niche_id_fkey FOREIGN KEY (niche_id) REFERENCES app.niches (id),
    CONSTRAINT brand_niches_tenant_id_brand_id_niche_id_key UNIQUE (tenant_id, brand_id, niche_id)
);
COMMENT ON TABLE brand_niches IS 'Which niches a brand works in.';
COMMENT ON CONSTRAINT brand_niches_pkey ON brand_niches IS 'Every tenant row has an id of its own.';
COMMENT ON CONSTRAINT brand_niches_tenant_id_fkey ON brand_niches IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT brand_niches_brand_id_fkey ON brand_niches IS 'The brand is of the same tenant.';
COMMENT ON CONSTRAINT brand_niches_niche_id_fkey ON brand_niches IS 'The niche exists.';
COMMENT ON CONSTRAINT brand_niches_tenant_id_brand_id_niche_id_key ON brand_niches IS 'A niche is attached once; reading brand with niches.';
CREATE INDEX brand_niches_niche_id_idx ON brand_niches (niche_id);
COMMENT ON INDEX brand_niches_niche_id_idx IS 'The foreign key: removing a niche.';

ALTER TABLE brand_niches ENABLE ROW LEVEL SECURITY;
ALTER TABLE brand_niches FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON brand_niches
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON brand_niches IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON brand_niches
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

GRANT SELECT, DELETE ON brand_niches TO quarry_app;
GRANT INSERT (tenant_id, id, brand_id, niche_id) ON brand_niches TO quarry_app;

CREATE FUNCTION record_brand_niches() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('brand_niches', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('brand_niches', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.brand_id IS DISTINCT FROM o.brand_id THEN 'brand_id' END,
                CASE WHEN n.niche_id IS DISTINCT FROM o.niche_id THEN 'niche_id' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('brand_niches', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_brand_niches() IS 'Writes changes of brand_niches to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON brand_niches
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_brand_niches();
CREATE TRIGGER record_update AFTER UPDATE ON brand_niches
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_brand_niches();
CREATE TRIGGER record_delete AFTER DELETE ON brand_niches
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_brand_niches();
