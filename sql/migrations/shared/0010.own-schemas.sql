-- A schema of its own for a tenant: which one it is, and how a transaction gets there.
-- depends: 0009.read-from-replicas

SET LOCAL lock_timeout = '4s';

CREATE TABLE app.schemas (
    tenant_id uuid NOT NULL DEFAULT app.current_tenant(),
    name      text NOT NULL,
    CONSTRAINT schemas_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT schemas_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT schemas_name_key UNIQUE (name),
    CONSTRAINT schemas_name_check CHECK (name ~ '^[a-z_][a-z0-9_]{0,62}$' AND name !~ '^pg_'
                                         AND name NOT IN ('app', 'public', 'information_schema'))
);
COMMENT ON TABLE app.schemas IS 'Tenants whose rows are in a schema of their own, instead of the one that the others share.';
COMMENT ON COLUMN app.schemas.name IS 'The schema. It stays what it is: rows do not move by a change of it.';
COMMENT ON CONSTRAINT schemas_pkey ON app.schemas IS 'app.enter(): a tenant has one schema at most.';
COMMENT ON CONSTRAINT schemas_tenant_id_fkey ON app.schemas IS 'A schema belongs to a tenant that exists.';
COMMENT ON CONSTRAINT schemas_name_key ON app.schemas IS 'A schema belongs to one tenant.';
COMMENT ON CONSTRAINT schemas_name_check ON app.schemas IS 'A plain name, and of no schema that is somebody else''s.';

ALTER TABLE app.schemas ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.schemas FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.schemas TO quarry_app
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
CREATE POLICY platform ON app.schemas TO quarry_platform, quarry_owner
    USING (true) WITH CHECK (true);
COMMENT ON POLICY tenant ON app.schemas IS 'The serving role is told where the rows of the bound tenant are.';
COMMENT ON POLICY platform ON app.schemas IS 'Platform work, migrations and the owner''s functions see all of them.';

GRANT SELECT ON app.schemas TO quarry_app, quarry_platform;
GRANT INSERT (tenant_id, name) ON app.schemas TO quarry_platform;

-- What every tenant's transaction begins with. It may not set its own search path: that would be put back at its end.
CREATE FUNCTION app.enter(tenant uuid) RETURNS void
    LANGUAGE plpgsql
AS $$
DECLARE
    own text;
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', tenant::text, true);
    SELECT s.name INTO own FROM app.schemas AS s WHERE s.tenant_id = tenant;
    IF own IS NOT NULL THEN
        PERFORM pg_catalog.set_config('search_path', pg_catalog.format('%I, pg_temp', own), true);
    END IF;
END
$$;
COMMENT ON FUNCTION app.enter(uuid) IS 'Binds the transaction to a tenant, and leads it to the tenant''s own schema if it has one.';
GRANT EXECUTE ON FUNCTION app.enter(uuid) TO quarry_app, quarry_platform;

-- Each schema keeps its own account of the migrations that built it.
CREATE FUNCTION app.own_migrations() RETURNS TABLE (schema_name text, id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    FOR schema_name IN SELECT s.name FROM app.schemas AS s ORDER BY s.name LOOP
        RETURN QUERY EXECUTE format('SELECT %L::text, m.migration_id::text FROM %I._yoyo_migration AS m', schema_name, schema_name);
    END LOOP;
END
$$;
COMMENT ON FUNCTION app.own_migrations() IS 'Health: the ids of the migrations that the tenants'' own schemas have.';
GRANT EXECUTE ON FUNCTION app.own_migrations() TO quarry_app;
