-- Contents of campaigns, and the influencers on them.
-- depends: 0005.create-campaigns

SET LOCAL lock_timeout = '4s';

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
