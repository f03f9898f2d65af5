-- Influencers with their niches.
-- depends: 0002.create-sessions

SET LOCAL lock_timeout = '4s';

CREATE TABLE influencers (
    tenant_id         uuid        NOT NULL DEFAULT app.current_tenant(),
    id                uuid        NOT NULL DEFAULT gen_random_uuid(),
    name              text        NOT NULL,
    search_name       text        NOT NULL,
    username          text        NOT NULL,
    email             bytea       NOT NULL,
    email_index       bytea       NOT NULL,
    phone             bytea       NOT NULL,
    phone_index       bytea       NOT NULL,
    date_of_birth     date,
    gender            text,
    bio               text,
    profile_image     text,
    is_phone_verified boolean     NOT NULL DEFAULT false,
    is_active         boolean     NOT NULL DEFAULT true,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(),
    version           integer     NOT NULL DEFAULT 1,
    deleted_at        timestamptz,
    CONSTRAINT influencers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT influencers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT influencers_name_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT influencers_username_check CHECK (username ~ '^[a-z0-9._]{3,50}$'),
    CONSTRAINT influencers_email_check CHECK ((octet_length(email_index) = 32) IS NOT FALSE AND (email IS NULL) = (email_index IS NULL)),
    CONSTRAINT influencers_phone_check CHECK ((octet_length(phone_index) = 32) IS NOT FALSE AND (phone IS NULL) = (phone_index IS NULL)),
    CONSTRAINT influencers_gender_check CHECK (gender IN ('female', 'male', 'other', 'undisclosed')),
    CONSTRAINT influencers_bio_check CHECK (char_length(bio) <= 10000),
    CONSTRAINT influencers_profile_image_check CHECK (char_length(profile_image) <= 2000)
);
COMMENT ON TABLE influencers IS 'Profiles of influencers; personal data is encrypted by the service, *_index is the HMAC that finds it.';
COMMENT ON CONSTRAINT influencers_pkey ON influencers IS 'Finding an influencer; referenced by associations.';
COMMENT ON CONSTRAINT influencers_tenant_id_fkey ON influencers IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT influencers_name_check ON influencers IS 'Names have 1 to 200 characters.';
COMMENT ON CONSTRAINT influencers_username_check ON influencers IS 'Lower-case handle of 3 to 50 characters.';
COMMENT ON CONSTRAINT influencers_email_check ON influencers IS 'The encrypted email and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT influencers_phone_check ON influencers IS 'The encrypted phone and the 32 byte HMAC that finds it come together.';
COMMENT ON CONSTRAINT influencers_gender_check ON influencers IS 'The values of the API.';
COMMENT ON CONSTRAINT influencers_bio_check ON influencers IS 'At most 10000 characters.';
COMMENT ON CONSTRAINT influencers_profile_image_check ON influencers IS 'At most 2000 characters.';
CREATE UNIQUE INDEX influencers_tenant_id_username_key ON influencers (tenant_id, username) WHERE deleted_at IS NULL;
COMMENT ON INDEX influencers_tenant_id_username_key IS 'One live profile per username.';
CREATE UNIQUE INDEX influencers_tenant_id_email_key ON influencers (tenant_id, email_index) WHERE deleted_at IS NULL;
COMMENT ON INDEX influencers_tenant_id_email_key IS 'One live profile per email.';
CREATE UNIQUE INDEX influencers_tenant_id_phone_key ON influencers (tenant_id, phone_index) WHERE deleted_at IS NULL;
COMMENT ON INDEX influencers_tenant_id_phone_key IS 'One live profile per phone.';
CREATE INDEX influencers_created_at_idx ON influencers (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX influencers_created_at_idx IS 'Page order of influencers.page.';
CREATE INDEX influencers_search_name_idx ON influencers (tenant_id, search_name text_pattern_ops) WHERE deleted_at IS NULL;
COMMENT ON INDEX influencers_search_name_idx IS 'Search by the beginning of the name.';

ALTER TABLE influencers ENABLE ROW LEVEL SECURITY;
ALTER TABLE influencers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON influencers
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON influencers IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON influencers
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

CREATE TRIGGER fold_name BEFORE INSERT OR UPDATE OF name, search_name ON influencers
    FOR EACH ROW EXECUTE FUNCTION app.fold_name();

GRANT SELECT, DELETE ON influencers TO quarry_app;
GRANT INSERT (tenant_id, id, name, username, email, email_index, phone, phone_index, date_of_birth, gender, bio, profile_image, is_active),
      UPDATE (name, username, email, email_index, phone, phone_index, date_of_birth, gender, bio, profile_image,
              is_phone_verified, is_active, updated_at, deleted_at) ON influencers TO quarry_app;

CREATE FUNCTION record_influencers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('influencers', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('influencers', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.username IS DISTINCT FROM o.username THEN 'username' END,
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
                CASE WHEN n.email_index IS DISTINCT FROM o.email_index THEN 'email_index' END,
                CASE WHEN n.phone IS DISTINCT FROM o.phone THEN 'phone' END,
                CASE WHEN n.phone_index IS DISTINCT FROM o.phone_index THEN 'phone_index' END,
                CASE WHEN n.date_of_birth IS DISTINCT FROM o.date_of_birth THEN 'date_of_birth' END,
                CASE WHEN n.gender IS DISTINCT FROM o.gender THEN 'gender' END,
                CASE WHEN n.bio IS DISTINCT FROM o.bio THEN 'bio' END,
                CASE WHEN n.profile_image IS DISTINCT FROM o.profile_image THEN 'profile_image' END,
                CASE WHEN n.is_phone_verified IS DISTINCT FROM o.is_phone_verified THEN 'is_phone_verified' END,
                CASE WHEN n.is_active IS DISTINCT FROM o.is_active THEN 'is_active' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('influencers', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_influencers() IS 'Writes changes of influencers to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON influencers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_influencers();
CREATE TRIGGER record_update AFTER UPDATE ON influencers
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_influencers();
CREATE TRIGGER record_delete AFTER DELETE ON influencers
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_influencers();

CREATE TABLE influencer_niches (
    tenant_id     uuid        NOT NULL DEFAULT app.current_tenant(),
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    influencer_id uuid        NOT NULL,
    niche_id      uuid        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    version       integer     NOT NULL DEFAULT 1,
    CONSTRAINT influencer_niches_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT influencer_niches_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT influencer_niches_influencer_id_fkey FOREIGN KEY (tenant_id, influencer_id) REFERENCES influencers (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT influencer_niches_niche_id_fkey FOREIGN KEY (niche_id) REFERENCES app.niches (id),
    CONSTRAINT influencer_niches_tenant_id_influencer_id_niche_id_key UNIQUE (tenant_id, influencer_id, niche_id)
);
COMMENT ON TABLE influencer_niches IS 'Which niches an influencer works in.';
COMMENT ON CONSTRAINT influencer_niches_pkey ON influencer_niches IS 'Every tenant row has an id of its own.';
COMMENT ON CONSTRAINT influencer_niches_tenant_id_fkey ON influencer_niches IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT influencer_niches_influencer_id_fkey ON influencer_niches IS 'The influencer is of the same tenant.';
COMMENT ON CONSTRAINT influencer_niches_niche_id_fkey ON influencer_niches IS 'The niche exists.';
COMMENT ON CONSTRAINT influencer_niches_tenant_id_influencer_id_niche_id_key ON influencer_niches IS 'A niche is attached once; reading influencer with niches.';
CREATE INDEX influencer_niches_niche_id_idx ON influencer_niches (niche_id);
COMMENT ON INDEX influencer_niches_niche_id_idx IS 'The foreign key: removing a niche.';

ALTER TABLE influencer_niches ENABLE ROW LEVEL SECURITY;
ALTER TABLE influencer_niches FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON influencer_niches
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON influencer_niches IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON influencer_niches
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

GRANT SELECT, DELETE ON influencer_niches TO quarry_app;
GRANT INSERT (tenant_id, id, influencer_id, niche_id) ON influencer_niches TO quarry_app;

CREATE FUNCTION record_influencer_niches() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('influencer_niches', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('influencer_niches', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.influencer_id IS DISTINCT FROM o.influencer_id THEN 'influencer_id' END,
                CASE WHEN n.niche_id IS DISTINCT FROM o.niche_id THEN 'niche_id' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('influencer_niches', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_influencer_niches() IS 'Writes changes of influencer_niches to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON influencer_niches
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_influencer_niches();
CREATE TRIGGER record_update AFTER UPDATE ON influencer_niches
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_influencer_niches();
CREATE TRIGGER record_delete AFTER DELETE ON influencer_niches
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_influencer_niches();
