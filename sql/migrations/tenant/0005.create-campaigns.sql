-- Campaigns: what an agency runs for a brand.
-- depends: 0004.create-brands

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
