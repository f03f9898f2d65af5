-- Tenants, who the bound tenant is, and the trigger functions that every table shares.
-- depends:

SET LOCAL lock_timeout = '4s';

-- The tenant bound to this transaction; TN001 when none is, so that a forgotten tenant is an error and never an
-- empty answer. Bare and STABLE: a sub-select in a policy is refused by Citus, and with an explicit tenant predicate
-- in the statement it costs one comparison.
CREATE FUNCTION app.current_tenant() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = ''
AS $$
DECLARE
    bound text := current_setting('app.tenant_id', true);
BEGIN
    IF bound IS NULL OR bound = '' THEN
        RAISE EXCEPTION 'no tenant is bound to this transaction' USING ERRCODE = 'TN001';
    END IF;
    RETURN bound::uuid;
END
$$;
COMMENT ON FUNCTION app.current_tenant() IS 'The tenant of this transaction (setting app.tenant_id); raises TN001 when unbound.';
GRANT EXECUTE ON FUNCTION app.current_tenant() TO PUBLIC;

-- Before an update that changes something: next version, new updated_at; tenant and id never change (TN004).
CREATE FUNCTION app.touch() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    IF NEW.tenant_id <> OLD.tenant_id OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'a row of % keeps its tenant and its id', TG_TABLE_NAME USING ERRCODE = 'TN004';
    END IF;
    NEW.created_at := OLD.created_at;
    NEW.updated_at := now();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION app.touch() IS 'Row life cycle of a tenant table: version and updated_at move with every real change, tenant_id and id never do.';

-- The same for the tables of this schema, which have no tenant column.
CREATE FUNCTION app.touch_shared() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'a row of % keeps its id', TG_TABLE_NAME USING ERRCODE = 'TN004';
    END IF;
    NEW.created_at := OLD.created_at;
    NEW.updated_at := now();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION app.touch_shared() IS 'Row life cycle of tenants and niches: version and updated_at move with every real change, id never does.';

-- Before insert or rename: the lower-case name that prefix searches compare (lower() itself is not leakproof).
CREATE FUNCTION app.fold_name() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    NEW.search_name := lower(NEW.name);
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION app.fold_name() IS 'Keeps search_name, the lower-case name that prefix searches compare.';

-- A JSON merge patch (RFC 7396): objects are merged member by member, null removes a member, all else replaces.
CREATE FUNCTION app.merge_patch(target jsonb, patch jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = ''
AS $$
BEGIN
    IF jsonb_typeof(patch) IS DISTINCT FROM 'object' THEN
        RETURN patch;
    END IF;
    IF jsonb_typeof(target) IS DISTINCT FROM 'object' THEN
        target := '{}';
    END IF;
    RETURN coalesce((SELECT jsonb_object_agg(key, CASE WHEN p.value IS NULL THEN t.value
                                                       ELSE app.merge_patch(t.value, p.value) END)
                       FROM jsonb_each(target) AS t
                       FULL JOIN jsonb_each(patch) AS p USING (key)
                      WHERE p.value IS NULL OR p.value <> 'null'),
                    '{}');
END
$$;
COMMENT ON FUNCTION app.merge_patch(jsonb, jsonb) IS 'RFC 7396 merge of a patch into a JSON document.';
GRANT EXECUTE ON FUNCTION app.merge_patch(jsonb, jsonb) TO quarry_app;

CREATE TABLE app.tenants (
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    name          text        NOT NULL,
    domain        text        NOT NULL,
    status        text        NOT NULL DEFAULT 'active',
    plan          text        NOT NULL DEFAULT 'free',
    features      jsonb       NOT NULL DEFAULT '{}',
    configuration jsonb       NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    version       integer     NOT NULL DEFAULT 1,
    CONSTRAINT tenants_pkey PRIMARY KEY (id),
    CONSTRAINT tenants_domain_key UNIQUE (domain),
    CONSTRAINT tenants_name_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT tenants_domain_check CHECK (domain ~ '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$'),
    CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'archived')),
    CONSTRAINT tenants_plan_check CHECK (plan IN ('free', 'pro', 'enterprise')),
    CONSTRAINT tenants_features_check CHECK (jsonb_typeof(features) = 'object'),
    CONSTRAINT tenants_configuration_check CHECK (jsonb_typeof(configuration) = 'object')
);
COMMENT ON TABLE app.tenants IS 'Agencies that use the service; every tenant row belongs to one of them.';
COMMENT ON CONSTRAINT tenants_pkey ON app.tenants IS 'Referenced by every tenant table; tenants.current.';
COMMENT ON CONSTRAINT tenants_domain_key ON app.tenants IS 'A host name leads to one tenant: app.find_tenant().';
COMMENT ON CONSTRAINT tenants_name_check ON app.tenants IS 'Names have 1 to 200 characters.';
COMMENT ON CONSTRAINT tenants_domain_check ON app.tenants IS 'A domain is a lower-case host name.';
COMMENT ON CONSTRAINT tenants_status_check ON app.tenants IS 'Only active tenants are served.';
COMMENT ON CONSTRAINT tenants_plan_check ON app.tenants IS 'The plans that are sold.';
COMMENT ON CONSTRAINT tenants_features_check ON app.tenants IS 'Features are a JSON object.';
COMMENT ON CONSTRAINT tenants_configuration_check ON app.tenants IS 'The configuration is a JSON object.';

CREATE INDEX tenants_created_at_idx ON app.tenants (created_at DESC, id DESC);
COMMENT ON INDEX app.tenants_created_at_idx IS 'Page order of tenants.page.';

ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.tenants TO quarry_app
    USING (id = app.current_tenant()) WITH CHECK (id = app.current_tenant());
CREATE POLICY platform ON app.tenants TO quarry_platform, quarry_owner
    USING (true) WITH CHECK (true);
COMMENT ON POLICY tenant ON app.tenants IS 'The serving role sees the tenant it is bound to.';
COMMENT ON POLICY platform ON app.tenants IS 'Platform work and the owner''s functions see all tenants.';

CREATE TRIGGER touch BEFORE UPDATE ON app.tenants
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch_shared();

GRANT SELECT ON app.tenants TO quarry_app, quarry_platform;
GRANT UPDATE (name, features, configuration) ON app.tenants TO quarry_app;
GRANT INSERT (id, name, domain, status, plan, features, configuration),
      UPDATE (name, domain, status, plan, features, configuration),
      DELETE ON app.tenants TO quarry_platform;

-- The tenant of a host name, before anything is bound: the only way to look a tenant up without being it.
CREATE FUNCTION app.find_tenant(host text) RETURNS TABLE (id uuid, status text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = ''
AS $$
    SELECT t.id, t.status FROM app.tenants AS t WHERE t.domain = host
$$;
COMMENT ON FUNCTION app.find_tenant(text) IS 'Sign-in: the tenant of a host name, its id and status and nothing else.';
GRANT EXECUTE ON FUNCTION app.find_tenant(text) TO quarry_app, quarry_platform;
