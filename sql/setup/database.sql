-- The schemas and privileges of one Quarry database. Safe to repeat; run inside that database by its owner or a
-- superuser, after roles.sql and before schema.sql. Database privileges are not copied by CREATE DATABASE ... TEMPLATE, so
-- a clone needs it too. The schema of the tenant tables is what the setting quarry.schema says (DATABASE_SCHEMA; quarry).
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
    -- No policy guards large objects, and nobody here has a use for them.
    IF super THEN
        REVOKE EXECUTE ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea), lo_put(oid, bigint, bytea),
            lowrite(integer, bytea), lo_open(oid, integer), lo_get(oid), lo_get(oid, bigint, integer), lo_unlink(oid),
            lo_truncate(integer, integer), lo_truncate64(integer, bigint) FROM PUBLIC;
    END IF;
END
$database$;

SET ROLE quarry_owner;

DO $schemas$
BEGIN
    -- What exists once: tenants, shared reference data, the log.
    CREATE SCHEMA IF NOT EXISTS app;
    GRANT USAGE ON SCHEMA app TO quarry_app, quarry_platform;
    ALTER DEFAULT PRIVILEGES FOR ROLE quarry_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarry_backup') THEN
        GRANT USAGE ON SCHEMA app TO quarry_backup;
        ALTER DEFAULT PRIVILEGES FOR ROLE quarry_owner GRANT SELECT ON TABLES TO quarry_backup;
        ALTER DEFAULT PRIVILEGES FOR ROLE quarry_owner GRANT SELECT ON SEQUENCES TO quarry_backup;
    END IF;
END
$schemas$;

RESET ROLE;

-- The service sets the search path on its own direct connections. Behind a pooler it can't, and then the setting of the role applies.
DO $path$
DECLARE
    tenants text := coalesce(nullif(current_setting('quarry.schema', true), ''), 'quarry');
    wanted  record;
BEGIN
    FOR wanted IN
        SELECT r.rolname AS name
          FROM pg_catalog.pg_roles AS r
         WHERE r.rolname IN ('quarry_app', 'quarry_platform')
           AND NOT EXISTS (SELECT
                             FROM pg_catalog.pg_db_role_setting AS s
                             JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
                            WHERE s.setrole = r.oid AND d.datname = current_database()
                              AND s.setconfig @> ARRAY[format('search_path=%I, pg_temp', tenants)])
    LOOP
        BEGIN
            -- As the role itself, which may always do it.
            EXECUTE format('SET LOCAL ROLE %I', wanted.name);
            EXECUTE format('ALTER ROLE %I IN DATABASE %I SET search_path = %I, pg_temp',
                           wanted.name, current_database(), tenants);
            RESET ROLE;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE WARNING '% does not get its search path, without which it can''t be used behind a pooler', wanted.name;
        END;
    END LOOP;
END
$path$;
