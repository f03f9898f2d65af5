-- The schemas and privileges of one Quarry database. Safe to repeat; run inside that database by its owner or a
-- superuser, after roles.sql. Database privileges are not copied by CREATE DATABASE ... TEMPLATE, so a clone needs it too.
-- The schema of the tenant tables is quarry, or what the setting quarry.schema says (DATABASE_SCHEMA).
DO $database$
DECLARE
    super boolean := (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user);
BEGIN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO quarry_app, quarry_platform', current_database());
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarry_backup') THEN
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO quarry_backup', current_database());
    END IF;
    -- CREATE SCHEMA ... AUTHORIZATION asks for the right to create in the database, also of the new owner.
    EXECUTE format('GRANT CREATE ON DATABASE %I TO quarry_owner', current_database());
    IF super OR pg_catalog.pg_has_role(current_user, (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'public'), 'USAGE') THEN
        REVOKE ALL ON SCHEMA public FROM PUBLIC;
    END IF;
END
$database$;

SET ROLE quarry_owner;

DO $schemas$
DECLARE
    tenants text := coalesce(nullif(current_setting('quarry.schema', true), ''), 'quarry');
BEGIN
    -- What exists once: tenants, shared reference data, the log.
    CREATE SCHEMA IF NOT EXISTS app;
    -- Tenant tables, found by the search path, so that one tenant may have a schema of its own.
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', tenants);
    EXECUTE format('GRANT USAGE ON SCHEMA app, %I TO quarry_app, quarry_platform', tenants);
    ALTER DEFAULT PRIVILEGES FOR ROLE quarry_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarry_backup') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA app, %I TO quarry_backup', tenants);
        ALTER DEFAULT PRIVILEGES FOR ROLE quarry_owner GRANT SELECT ON TABLES TO quarry_backup;
        ALTER DEFAULT PRIVILEGES FOR ROLE quarry_owner GRANT SELECT ON SEQUENCES TO quarry_backup;
    END IF;
END
$schemas$;

RESET ROLE;
