-- References between live rows: what is referred to can't be deleted, and what comes back refers to live rows.
-- depends: 0009.create-idempotency-keys

SET LOCAL lock_timeout = '4s';

CREATE FUNCTION check_brand_unused() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM campaigns WHERE tenant_id = NEW.tenant_id AND brand_id = NEW.id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the brand is on campaigns' USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION check_brand_unused() IS 'Refuses to delete a brand that live campaigns refer to (TN006).';
CREATE TRIGGER check_unused BEFORE UPDATE OF deleted_at ON brands
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION check_brand_unused();

CREATE FUNCTION check_influencer_unused() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    IF EXISTS (SELECT FROM campaign_influencers AS a
                 JOIN campaigns AS c ON c.tenant_id = a.tenant_id AND c.id = a.campaign_id
                WHERE a.tenant_id = NEW.tenant_id AND c.tenant_id = NEW.tenant_id AND a.influencer_id = NEW.id
                  AND a.status IN ('invited', 'accepted') AND c.deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the influencer is on campaigns' USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION check_influencer_unused() IS 'Refuses to delete an influencer whom live campaigns refer to (TN006).';
CREATE TRIGGER check_unused BEFORE UPDATE OF deleted_at ON influencers
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION check_influencer_unused();

-- A campaign that comes back is a new reference to its owner and its brand. The owner of the schema writes rows as they
-- were (quarry tenants import), deleted ones with references to deleted ones among them.
CREATE OR REPLACE FUNCTION check_campaign_references() RETURNS trigger
    LANGUAGE plpgsql
AS $$
DECLARE
    is_new boolean := TG_OP = 'INSERT' OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL);
BEGIN
    IF current_user = 'quarry_owner' THEN
        RETURN NEW;
    END IF;
    IF is_new OR NEW.owner_id IS DISTINCT FROM OLD.owner_id THEN
        PERFORM FROM users WHERE tenant_id = NEW.tenant_id AND id = NEW.owner_id AND deleted_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'owner_id is not a live user' USING ERRCODE = 'foreign_key_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_owner_id_fkey';
        END IF;
    END IF;
    IF NEW.brand_id IS NOT NULL AND (is_new OR NEW.brand_id IS DISTINCT FROM OLD.brand_id) THEN
        PERFORM FROM brands WHERE tenant_id = NEW.tenant_id AND id = NEW.brand_id AND deleted_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'brand_id is not a live brand' USING ERRCODE = 'foreign_key_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_brand_id_fkey';
        END IF;
    END IF;
    RETURN NEW;
END
$$;
DROP TRIGGER check_references ON campaigns;
CREATE TRIGGER check_references BEFORE INSERT OR UPDATE OF owner_id, brand_id, deleted_at ON campaigns
    FOR EACH ROW EXECUTE FUNCTION check_campaign_references();

-- The moment of publication is kept by the owner of the schema, who imports.
CREATE OR REPLACE FUNCTION publish_content() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    IF current_user = 'quarry_owner' THEN
        RETURN NEW;
    END IF;
    NEW.published_at := CASE WHEN NEW.status <> 'published' THEN NULL
                             WHEN TG_OP = 'UPDATE' AND OLD.status = 'published' THEN OLD.published_at
                             ELSE now() END;
    RETURN NEW;
END
$$;

-- Failed sign-ins belong to the audit and are kept as long; the serving role adds to them and can't take any away.
-- The function finds its table in the schema that it is made in.
DO $path$ BEGIN PERFORM set_config('search_path', format('%I, pg_temp', current_schema()), true); END $path$;
CREATE FUNCTION prune_sign_in_failures(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT
AS $$
DECLARE
    done integer;
BEGIN
    DELETE FROM sign_in_failures
     WHERE tenant_id = tenant
       AND tenant = app.current_tenant()
       AND id IN (SELECT f.id
                    FROM sign_in_failures AS f
                   WHERE f.tenant_id = tenant
                     AND f.created_at < now() - (SELECT log_retention FROM app.installation)
                   ORDER BY f.created_at
                   LIMIT least(at_most, 10000));
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END
$$;
COMMENT ON FUNCTION prune_sign_in_failures(uuid, integer) IS 'Deletes the bound tenant''s failed sign-ins beyond the audit''s retention.';
GRANT EXECUTE ON FUNCTION prune_sign_in_failures(uuid, integer) TO quarry_app;

-- Every row of a tenant refers to it, which locks its key: the lock that owners are counted under must not wait for those.
CREATE OR REPLACE FUNCTION keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    left_over boolean;
BEGIN
    PERFORM FROM app.tenants AS t WHERE t.id = OLD.tenant_id FOR NO KEY UPDATE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.users WHERE tenant_id = $1 AND role = ''owner'' AND is_active AND deleted_at IS NULL)', TG_TABLE_SCHEMA)
       INTO left_over USING OLD.tenant_id;
    IF NOT left_over THEN
        RAISE EXCEPTION 'the last owner of a tenant stays' USING ERRCODE = 'TN005';
    END IF;
    RETURN NULL;
END
$$;

-- Deleted campaigns refer too: these serve the foreign keys as well as the pages, so they hold all rows.
DROP INDEX campaigns_owner_id_created_at_idx;
CREATE INDEX campaigns_owner_id_created_at_idx ON campaigns (tenant_id, owner_id, created_at DESC, id DESC);
COMMENT ON INDEX campaigns_owner_id_created_at_idx IS 'Page order of campaigns.page when filtered by owner_id; the foreign key.';
DROP INDEX campaigns_brand_id_created_at_idx;
CREATE INDEX campaigns_brand_id_created_at_idx ON campaigns (tenant_id, brand_id, created_at DESC, id DESC);
COMMENT ON INDEX campaigns_brand_id_created_at_idx IS 'Page order of campaigns.page when filtered by brand_id; the foreign key.';

-- What has been deleted can be restored for a while, and is then deleted for good; what something still refers to waits
-- for that.
CREATE INDEX users_deleted_at_idx ON users (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON INDEX users_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';
CREATE INDEX influencers_deleted_at_idx ON influencers (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON INDEX influencers_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';
CREATE INDEX brands_deleted_at_idx ON brands (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON INDEX brands_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';
CREATE INDEX campaigns_deleted_at_idx ON campaigns (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON INDEX campaigns_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';
CREATE INDEX contents_deleted_at_idx ON contents (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON INDEX contents_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

CREATE FUNCTION prune_deleted(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path FROM CURRENT
AS $$
    WITH retention AS (
        SELECT now() - deleted_retention AS ended FROM app.installation WHERE tenant = app.current_tenant()
    ), pruned_contents AS (
        DELETE FROM contents
         WHERE tenant_id = tenant
           AND id IN (SELECT r.id
                        FROM contents AS r
                       WHERE r.tenant_id = tenant
                         AND r.deleted_at < (SELECT ended FROM retention)
                       ORDER BY r.deleted_at
                       LIMIT least(at_most, 10000))
        RETURNING id
    ), pruned_campaigns AS (
        DELETE FROM campaigns
         WHERE tenant_id = tenant
           AND id IN (SELECT r.id
                        FROM campaigns AS r
                       WHERE r.tenant_id = tenant
                         AND r.deleted_at < (SELECT ended FROM retention)
                       ORDER BY r.deleted_at
                       LIMIT least(at_most, 10000))
        RETURNING id
    ), pruned_influencers AS (
        DELETE FROM influencers
         WHERE tenant_id = tenant
           AND id IN (SELECT r.id
                        FROM influencers AS r
                       WHERE r.tenant_id = tenant
                         AND r.deleted_at < (SELECT ended FROM retention)
                        AND NOT EXISTS (SELECT FROM campaign_influencers AS a WHERE a.tenant_id = tenant AND a.influencer_id = r.id)
                       ORDER BY r.deleted_at
                       LIMIT least(at_most, 10000))
        RETURNING id
    ), pruned_brands AS (
        DELETE FROM brands
         WHERE tenant_id = tenant
           AND id IN (SELECT r.id
                        FROM brands AS r
                       WHERE r.tenant_id = tenant
                         AND r.deleted_at < (SELECT ended FROM retention)
                        AND NOT EXISTS (SELECT FROM campaigns AS c WHERE c.tenant_id = tenant AND c.brand_id = r.id)
                       ORDER BY r.deleted_at
                       LIMIT least(at_most, 10000))
        RETURNING id
    ), pruned_users AS (
        DELETE FROM users
         WHERE tenant_id = tenant
           AND id IN (SELECT r.id
                        FROM users AS r
                       WHERE r.tenant_id = tenant
                         AND r.deleted_at < (SELECT ended FROM retention)
                        AND NOT EXISTS (SELECT FROM campaigns AS c WHERE c.tenant_id = tenant AND c.owner_id = r.id)
                        AND NOT EXISTS (SELECT FROM api_keys AS k WHERE k.tenant_id = tenant AND k.created_by = r.id)
                       ORDER BY r.deleted_at
                       LIMIT least(at_most, 10000))
        RETURNING id
    )
    SELECT ((SELECT count(*) FROM pruned_contents) + (SELECT count(*) FROM pruned_campaigns)
            + (SELECT count(*) FROM pruned_influencers) + (SELECT count(*) FROM pruned_brands)
            + (SELECT count(*) FROM pruned_users))::integer
$$;
COMMENT ON FUNCTION prune_deleted(uuid, integer) IS 'Deletes for good what the bound tenant deleted longer ago than the retention and nothing refers to.';
GRANT EXECUTE ON FUNCTION prune_deleted(uuid, integer) TO quarry_app;

-- What no statement does, the serving role has no right to.
REVOKE DELETE ON influencers, brands, contents, api_keys FROM quarry_app;
