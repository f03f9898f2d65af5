SET LOCAL lock_timeout = '4s';
DO $path$ BEGIN PERFORM set_config('search_path', format('%I, pg_temp', current_schema()), true); END $path$;
DROP FUNCTION tenants_to_seal(uuid, integer);
DROP FUNCTION has_plain_values(uuid);
DROP FUNCTION tenants_to_purge(uuid, integer, interval);
DROP FUNCTION has_ended_rows(uuid, interval, text[]);
DROP FUNCTION prune_api_keys(uuid, integer);
CREATE OR REPLACE FUNCTION prune_deleted(tenant uuid, at_most integer) RETURNS integer
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
