-- The roles of a Quarry cluster. Safe to repeat; run once per cluster by a superuser or by a login with CREATEROLE
-- (`quarry db roles` runs it; `quarry db roles --print` prints it for a DBA).
--
--   quarry_owner     owns every object; migrations run as it; nobody logs in as it
--   quarry_app       serves tenants; row-level security always applies to it; no DDL, no temporary tables
--   quarry_platform  creates, lists and suspends tenants; sees no tenant's rows
--   quarry_backup    reads everything for pg_dump (forced row-level security makes any other role fail)
DO $roles$
DECLARE
    wanted record;
    server integer := current_setting('server_version_num')::integer;
    super  boolean := (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user);
BEGIN
    FOR wanted IN
        SELECT name, attributes
          FROM (VALUES ('quarry_owner',    'NOLOGIN NOINHERIT'),
                       ('quarry_app',      'LOGIN NOINHERIT'),
                       ('quarry_platform', 'LOGIN NOINHERIT'),
                       ('quarry_backup',   'LOGIN NOINHERIT BYPASSRLS')) AS roles (name, attributes)
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = name)
    LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another instance made it a moment ago
            WHEN insufficient_privilege THEN
                IF wanted.name <> 'quarry_backup' THEN
                    RAISE;
                END IF;
                RAISE NOTICE 'quarry_backup needs BYPASSRLS, which this login may not give: a DBA creates it';
        END;
    END LOOP;

    -- A login that is not a superuser needs the right to become the roles it has just made.
    IF NOT super THEN
        FOR wanted IN
            SELECT rolname AS name FROM pg_catalog.pg_roles
             WHERE rolname IN ('quarry_owner', 'quarry_app', 'quarry_platform')
               AND rolname <> current_user
        LOOP
            EXECUTE format('GRANT %I TO CURRENT_USER%s', wanted.name,
                           CASE WHEN server >= 160000 THEN ' WITH SET TRUE, INHERIT FALSE' ELSE '' END);
        END LOOP;
    END IF;
END
$roles$;
