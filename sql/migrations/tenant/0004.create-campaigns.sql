-- Campaigns, their contents and the influencers on them.
-- depends: 0003.create-profiles

SET LOCAL lock_timeout = '4s';

CREATE TABLE campaigns (
    tenant_id    uuid        NOT NULL DEFAULT app.current_tenant(),
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    name         text        NOT NULL,
    search_name  text        NOT NULL,
    description  text,
    status       text        NOT NULL DEFAULT 'draft',
    owner_id     uuid        NOT NULL,
    brand_id     uuid,
    budget_minor bigint      NOT NULL DEFAULT 0,
    currency     text        NOT NULL DEFAULT 'USD',
    starts_on    date,
    ends_on      date,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    version      integer     NOT NULL DEFAULT 1,
    deleted_at   timestamptz,
    CONSTRAINT campaigns_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT campaigns_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT campaigns_owner_id_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    CONSTRAINT campaigns_brand_id_fkey FOREIGN KEY (tenant_id, brand_id) REFERENCES brands (tenant_id, id),
    CONSTRAINT campaigns_name_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT campaigns_description_check CHECK (char_length(description) <= 10000),
    CONSTRAINT campaigns_status_check CHECK (status IN ('draft', 'active', 'paused', 'completed', 'archived')),
    CONSTRAINT campaigns_budget_minor_check CHECK (budget_minor BETWEEN 0 AND 9007199254740991),
    CONSTRAINT campaigns_currency_check CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT campaigns_ends_on_check CHECK (ends_on >= starts_on)
);
COMMENT ON TABLE campaigns IS 'Marketing campaigns.';
COMMENT ON CONSTRAINT campaigns_pkey ON campaigns IS 'campaigns.find; referenced by contents and influencers on campaigns.';
COMMENT ON CONSTRAINT campaigns_tenant_id_fkey ON campaigns IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT campaigns_owner_id_fkey ON campaigns IS 'The user is of the same tenant.';
COMMENT ON CONSTRAINT campaigns_brand_id_fkey ON campaigns IS 'The brand is of the same tenant.';
COMMENT ON CONSTRAINT campaigns_name_check ON campaigns IS 'Names have 1 to 200 characters.';
COMMENT ON CONSTRAINT campaigns_description_check ON campaigns IS 'At most 10000 characters.';
COMMENT ON CONSTRAINT campaigns_status_check ON campaigns IS 'The life of a campaign.';
COMMENT ON CONSTRAINT campaigns_budget_minor_check ON campaigns IS 'Minor units that every JSON reader can hold (below 2^53).';
COMMENT ON CONSTRAINT campaigns_currency_check ON campaigns IS 'ISO 4217 code.';
COMMENT ON CONSTRAINT campaigns_ends_on_check ON campaigns IS 'A campaign does not end before it starts.';
CREATE INDEX campaigns_created_at_idx ON campaigns (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_created_at_idx IS 'Page order of campaigns.page.';
CREATE INDEX campaigns_status_created_at_idx ON campaigns (tenant_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_status_created_at_idx IS 'Page order of campaigns.page when filtered by status.';
CREATE INDEX campaigns_owner_id_created_at_idx ON campaigns (tenant_id, owner_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_owner_id_created_at_idx IS 'Page order of campaigns.page when filtered by owner_id.';
CREATE INDEX campaigns_brand_id_created_at_idx ON campaigns (tenant_id, brand_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_brand_id_created_at_idx IS 'Page order of campaigns.page when filtered by brand_id.';
CREATE INDEX campaigns_search_name_idx ON campaigns (tenant_id, search_name text_pattern_ops) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_search_name_idx IS 'campaigns.page by the beginning of the name.';

ALTER TABLE campaigns ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaigns FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaigns
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON campaigns IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON campaigns
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

CREATE TRIGGER fold_name BEFORE INSERT OR UPDATE OF name, search_name ON campaigns
    FOR EACH ROW EXECUTE FUNCTION app.fold_name();

-- A new reference needs a live row; the share lock holds until commit, so that the row can't be deleted meanwhile.
CREATE FUNCTION check_campaign_references() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.owner_id IS DISTINCT FROM OLD.owner_id THEN
        PERFORM FROM users WHERE tenant_id = NEW.tenant_id AND id = NEW.owner_id AND deleted_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'owner_id is not a live user' USING ERRCODE = 'foreign_key_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_owner_id_fkey';
        END IF;
    END IF;
    IF NEW.brand_id IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.brand_id IS DISTINCT FROM OLD.brand_id) THEN
        PERFORM FROM brands WHERE tenant_id = NEW.tenant_id AND id = NEW.brand_id AND deleted_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'brand_id is not a live brand' USING ERRCODE = 'foreign_key_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_brand_id_fkey';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION check_campaign_references() IS 'owner_id and brand_id may be set to live rows only; runs as the caller, inside its tenant.';
CREATE TRIGGER check_references BEFORE INSERT OR UPDATE OF owner_id, brand_id ON campaigns
    FOR EACH ROW EXECUTE FUNCTION check_campaign_references();

-- Archived is the end: a campaign may change to any status but out of it.
CREATE FUNCTION keep_archived() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    RAISE EXCEPTION 'an archived campaign stays archived' USING ERRCODE = 'check_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_status_check';
END
$$;
COMMENT ON FUNCTION keep_archived() IS 'Refuses a status change out of archived.';
CREATE TRIGGER keep_archived BEFORE UPDATE OF status ON campaigns
    FOR EACH ROW WHEN (OLD.status = 'archived' AND NEW.status <> 'archived') EXECUTE FUNCTION keep_archived();

GRANT SELECT, DELETE ON campaigns TO quarry_app;
GRANT INSERT (tenant_id, id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on),
      UPDATE (name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on, deleted_at) ON campaigns TO quarry_app;

CREATE FUNCTION record_campaigns() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('campaigns', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('campaigns', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.description IS DISTINCT FROM o.description THEN 'description' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.owner_id IS DISTINCT FROM o.owner_id THEN 'owner_id' END,
                CASE WHEN n.brand_id IS DISTINCT FROM o.brand_id THEN 'brand_id' END,
                CASE WHEN n.budget_minor IS DISTINCT FROM o.budget_minor THEN 'budget_minor' END,
                CASE WHEN n.currency IS DISTINCT FROM o.currency THEN 'currency' END,
                CASE WHEN n.starts_on IS DISTINCT FROM o.starts_on THEN 'starts_on' END,
                CASE WHEN n.ends_on IS DISTINCT FROM o.ends_on THEN 'ends_on' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('campaigns', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_campaigns() IS 'Writes changes of campaigns to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON campaigns
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_campaigns();
CREATE TRIGGER record_update AFTER UPDATE ON campaigns
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_campaigns();
CREATE TRIGGER record_delete AFTER DELETE ON campaigns
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_campaigns();

-- A user who owns live campaigns can't be deleted; the campaigns are handed over first.
CREATE FUNCTION check_user_unused() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM campaigns WHERE tenant_id = NEW.tenant_id AND owner_id = NEW.id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the user owns campaigns' USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION check_user_unused() IS 'Refuses to delete a user who owns live campaigns (TN006).';
CREATE TRIGGER check_unused BEFORE UPDATE OF deleted_at ON users
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION check_user_unused();

CREATE TABLE contents (
    tenant_id    uuid        NOT NULL DEFAULT app.current_tenant(),
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    campaign_id  uuid        NOT NULL,
    kind         text        NOT NULL,
    title        text        NOT NULL,
    body         text,
    url          text,
    status       text        NOT NULL DEFAULT 'draft',
    published_at timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    version      integer     NOT NULL DEFAULT 1,
    deleted_at   timestamptz,
    CONSTRAINT contents_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT contents_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT contents_campaign_id_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT contents_kind_check CHECK (kind IN ('post', 'reel', 'story', 'video', 'article')),
    CONSTRAINT contents_title_check CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT contents_body_check CHECK (char_length(body) <= 10000),
    CONSTRAINT contents_url_check CHECK (char_length(url) <= 2000),
    CONSTRAINT contents_status_check CHECK (status IN ('draft', 'submitted', 'approved', 'published'))
);
COMMENT ON TABLE contents IS 'Pieces of content made for a campaign.';
COMMENT ON CONSTRAINT contents_pkey ON contents IS 'contents.find.';
COMMENT ON CONSTRAINT contents_tenant_id_fkey ON contents IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT contents_campaign_id_fkey ON contents IS 'The campaign is of the same tenant; contents go with it.';
COMMENT ON CONSTRAINT contents_kind_check ON contents IS 'The kinds of the API.';
COMMENT ON CONSTRAINT contents_title_check ON contents IS 'Titles have 1 to 200 characters.';
COMMENT ON CONSTRAINT contents_body_check ON contents IS 'At most 10000 characters.';
COMMENT ON CONSTRAINT contents_url_check ON contents IS 'At most 2000 characters.';
COMMENT ON CONSTRAINT contents_status_check ON contents IS 'The life of a piece of content.';
CREATE INDEX contents_campaign_id_idx ON contents (tenant_id, campaign_id, created_at DESC, id DESC);
COMMENT ON INDEX contents_campaign_id_idx IS 'Page order of contents.page, contents of a campaign, the foreign key.';

ALTER TABLE contents ENABLE ROW LEVEL SECURITY;
ALTER TABLE contents FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON contents
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON contents IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON contents
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

-- Before a content is written: published_at is the moment it became published, and empty while it is not.
CREATE FUNCTION publish_content() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    NEW.published_at := CASE WHEN NEW.status <> 'published' THEN NULL
                             WHEN TG_OP = 'UPDATE' AND OLD.status = 'published' THEN OLD.published_at
                             ELSE now() END;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION publish_content() IS 'Keeps published_at, which no caller can set.';
CREATE TRIGGER publish BEFORE INSERT OR UPDATE ON contents
    FOR EACH ROW EXECUTE FUNCTION publish_content();

GRANT SELECT, DELETE ON contents TO quarry_app;
GRANT INSERT (tenant_id, id, campaign_id, kind, title, body, url, status),
      UPDATE (kind, title, body, url, status, deleted_at) ON contents TO quarry_app;

CREATE FUNCTION record_contents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('contents', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('contents', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.campaign_id IS DISTINCT FROM o.campaign_id THEN 'campaign_id' END,
                CASE WHEN n.kind IS DISTINCT FROM o.kind THEN 'kind' END,
                CASE WHEN n.title IS DISTINCT FROM o.title THEN 'title' END,
                CASE WHEN n.body IS DISTINCT FROM o.body THEN 'body' END,
                CASE WHEN n.url IS DISTINCT FROM o.url THEN 'url' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.published_at IS DISTINCT FROM o.published_at THEN 'published_at' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('contents', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_contents() IS 'Writes changes of contents to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON contents
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_contents();
CREATE TRIGGER record_update AFTER UPDATE ON contents
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_contents();
CREATE TRIGGER record_delete AFTER DELETE ON contents
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_contents();

CREATE TABLE campaign_influencers (
    tenant_id     uuid        NOT NULL DEFAULT app.current_tenant(),
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    campaign_id   uuid        NOT NULL,
    influencer_id uuid        NOT NULL,
    status        text        NOT NULL DEFAULT 'invited',
    fee_minor     bigint,
    currency      text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    version       integer     NOT NULL DEFAULT 1,
    CONSTRAINT campaign_influencers_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT campaign_influencers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT campaign_influencers_campaign_id_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT campaign_influencers_influencer_id_fkey FOREIGN KEY (tenant_id, influencer_id) REFERENCES influencers (tenant_id, id),
    CONSTRAINT campaign_influencers_tenant_id_campaign_id_influencer_id_key UNIQUE (tenant_id, campaign_id, influencer_id),
    CONSTRAINT campaign_influencers_status_check CHECK (status IN ('invited', 'accepted', 'declined', 'removed')),
    CONSTRAINT campaign_influencers_fee_minor_check CHECK (fee_minor BETWEEN 0 AND 9007199254740991),
    CONSTRAINT campaign_influencers_currency_check CHECK (currency ~ '^[A-Z]{3}$')
);
COMMENT ON TABLE campaign_influencers IS 'Influencers on a campaign, and for what fee.';
COMMENT ON CONSTRAINT campaign_influencers_pkey ON campaign_influencers IS 'Every tenant row has an id of its own.';
COMMENT ON CONSTRAINT campaign_influencers_tenant_id_fkey ON campaign_influencers IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT campaign_influencers_campaign_id_fkey ON campaign_influencers IS 'The campaign is of the same tenant.';
COMMENT ON CONSTRAINT campaign_influencers_influencer_id_fkey ON campaign_influencers IS 'The influencer is of the same tenant.';
COMMENT ON CONSTRAINT campaign_influencers_tenant_id_campaign_id_influencer_id_key ON campaign_influencers IS 'An influencer is on a campaign once; the upsert.';
COMMENT ON CONSTRAINT campaign_influencers_status_check ON campaign_influencers IS 'The answers to an invitation.';
COMMENT ON CONSTRAINT campaign_influencers_fee_minor_check ON campaign_influencers IS 'Minor units that every JSON reader can hold (below 2^53).';
COMMENT ON CONSTRAINT campaign_influencers_currency_check ON campaign_influencers IS 'ISO 4217 code.';
CREATE INDEX campaign_influencers_influencer_id_idx ON campaign_influencers (tenant_id, influencer_id);
COMMENT ON INDEX campaign_influencers_influencer_id_idx IS 'The foreign key: campaigns of an influencer.';

ALTER TABLE campaign_influencers ENABLE ROW LEVEL SECURITY;
ALTER TABLE campaign_influencers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON campaign_influencers
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON campaign_influencers IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON campaign_influencers
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

GRANT SELECT, DELETE ON campaign_influencers TO quarry_app;
GRANT INSERT (tenant_id, id, campaign_id, influencer_id, status, fee_minor, currency),
      UPDATE (status, fee_minor, currency) ON campaign_influencers TO quarry_app;

CREATE FUNCTION record_campaign_influencers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('campaign_influencers', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('campaign_influencers', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.campaign_id IS DISTINCT FROM o.campaign_id THEN 'campaign_id' END,
                CASE WHEN n.influencer_id IS DISTINCT FROM o.influencer_id THEN 'influencer_id' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.fee_minor IS DISTINCT FROM o.fee_minor THEN 'fee_minor' END,
                CASE WHEN n.currency IS DISTINCT FROM o.currency THEN 'currency' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('campaign_influencers', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_campaign_influencers() IS 'Writes changes of campaign_influencers to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON campaign_influencers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_campaign_influencers();
CREATE TRIGGER record_update AFTER UPDATE ON campaign_influencers
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_campaign_influencers();
CREATE TRIGGER record_delete AFTER DELETE ON campaign_influencers
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_campaign_influencers();
