SET LOCAL lock_timeout = '4s';
DROP FUNCTION prune_deleted(uuid, integer);
DROP INDEX contents_deleted_at_idx;
DROP INDEX campaigns_deleted_at_idx;
DROP INDEX brands_deleted_at_idx;
DROP INDEX influencers_deleted_at_idx;
DROP INDEX users_deleted_at_idx;
DROP INDEX campaigns_owner_id_created_at_idx;
CREATE INDEX campaigns_owner_id_created_at_idx ON campaigns (tenant_id, owner_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_owner_id_created_at_idx IS 'Page order of campaigns.page when filtered by owner_id.';
DROP INDEX campaigns_brand_id_created_at_idx;
CREATE INDEX campaigns_brand_id_created_at_idx ON campaigns (tenant_id, brand_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX campaigns_brand_id_created_at_idx IS 'Page order of campaigns.page when filtered by brand_id.';
CREATE OR REPLACE FUNCTION keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    left_over boolean;
BEGIN
    PERFORM FROM app.tenants AS t WHERE t.id = OLD.tenant_id FOR UPDATE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.users WHERE tenant_id = $1 AND role = ''owner'' AND is_active AND deleted_at IS NULL)', TG_TABLE_SCHEMA)
       INTO left_over USING OLD.tenant_id;
    IF NOT left_over THEN
        RAISE EXCEPTION 'the last owner of a tenant stays' USING ERRCODE = 'TN005';
    END IF;
    RETURN NULL;
END
$$;
DROP FUNCTION prune_sign_in_failures(uuid, integer);
GRANT DELETE ON influencers, brands, contents, api_keys TO quarry_app;
CREATE OR REPLACE FUNCTION publish_content() RETURNS trigger
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
DROP TRIGGER check_references ON campaigns;
CREATE OR REPLACE FUNCTION check_campaign_references() RETURNS trigger
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
CREATE TRIGGER check_references BEFORE INSERT OR UPDATE OF owner_id, brand_id ON campaigns
    FOR EACH ROW EXECUTE FUNCTION check_campaign_references();
DROP TRIGGER check_unused ON influencers;
DROP FUNCTION check_influencer_unused();
DROP TRIGGER check_unused ON brands;
DROP FUNCTION check_brand_unused();
