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
        SELECT w.name, w.login, w.bypass, r.oid IS NULL AS is_missing,
               format('%s NOINHERIT NOCREATEDB NOCREATEROLE %s', CASE WHEN w.login THEN 'LOGIN' ELSE 'NOLOGIN' END,
                      CASE WHEN w.bypass THEN 'BYPASSRLS' END) AS attributes
          FROM (VALUES ('quarry_owner',    false, false),
                       ('quarry_app',      true,  false),
                       ('quarry_platform', true,  false),
                       ('quarry_backup',   true,  true)) AS w (name, login, bypass)
          LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = w.name
         WHERE r.oid IS NULL
            OR (r.rolcanlogin, r.rolbypassrls) <> (w.login, w.bypass)
            OR r.rolsuper OR r.rolinherit OR r.rolcreatedb OR r.rolcreaterole OR r.rolreplication
    LOOP
        BEGIN
            IF wanted.is_missing THEN
                EXECUTE format('CREATE ROLE %I %s', wanted.name, wanted.attributes);
            ELSIF super THEN
                EXECUTE format('ALTER ROLE %I NOSUPERUSER NOREPLICATION NOBYPASSRLS %s', wanted.name, wanted.attributes);
            ELSE
                RAISE WARNING 'the attributes of % differ from those that roles.sql gives it; a superuser puts them right', wanted.name;
            END IF;
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another instance made it a moment ago
            WHEN insufficient_privilege THEN
                IF wanted.name <> 'quarry_backup' THEN
                    RAISE;
                END IF;
                RAISE WARNING 'quarry_backup needs BYPASSRLS, which this login may not give; a superuser creates it, else keep snapshots';
        END;
    END LOOP;

    -- A login that is not a superuser needs the right to become the roles that it works as.
    IF NOT super THEN
        FOR wanted IN
            SELECT rolname AS name FROM pg_catalog.pg_roles
             WHERE rolname IN ('quarry_owner', 'quarry_app', 'quarry_platform')
               AND rolname <> current_user
               AND NOT pg_catalog.pg_has_role(current_user, oid, CASE WHEN server >= 160000 THEN 'SET' ELSE 'MEMBER' END)
        LOOP
            EXECUTE format('GRANT %I TO CURRENT_USER%s', wanted.name,
                           CASE WHEN server >= 160000 THEN ' WITH SET TRUE, INHERIT FALSE' ELSE '' END);
        END LOOP;
    END IF;

    -- In other databases nothing is ours to revoke, but a DBA may want to know.
    FOR wanted IN
        SELECT string_agg(d.datname, ', ' ORDER BY d.datname) AS name
          FROM pg_catalog.pg_database AS d
         WHERE d.datallowconn
           AND d.datname <> current_database()
           AND NOT d.datistemplate
           AND EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = 'quarry_app')
           AND has_database_privilege('quarry_app', d.oid, 'TEMP')
           -- A database of Quarry's keeps everybody out by itself.
           AND has_database_privilege('public', d.oid, 'CONNECT')
        HAVING count(*) > 0
    LOOP
        RAISE NOTICE 'every role may connect and make temporary tables in %; where that is not wanted: REVOKE ALL ON DATABASE … FROM PUBLIC',
                     wanted.name;
    END LOOP;

    -- pg_dump tells in the server's words why it failed, and they are read. Only a superuser may choose the language.
    IF super THEN
        ALTER ROLE quarry_backup SET lc_messages = 'C';
    END IF;

    -- The service sets these on its own direct connections. Behind a pooler it can't, and then the settings of the role apply.
    FOR wanted IN
        SELECT r.rolname AS name, w.setting, w.value
          FROM pg_catalog.pg_roles AS r
          CROSS JOIN (VALUES
                ('TimeZone', 'UTC'),
                ('statement_timeout', coalesce(nullif(current_setting('quarry.statement_timeout', true), ''), '30000')),
                ('lock_timeout', coalesce(nullif(current_setting('quarry.lock_timeout', true), ''), '5000')),
                ('idle_in_transaction_session_timeout',
                 coalesce(nullif(current_setting('quarry.idle_in_transaction_session_timeout', true), ''), '60000'))
               ) AS w (setting, value)
         WHERE r.rolname IN ('quarry_app', 'quarry_platform')
           AND NOT coalesce(r.rolconfig @> ARRAY[w.setting || '=' || w.value], false)
    LOOP
        BEGIN
            -- As the role itself, which may always do it.
            EXECUTE format('SET LOCAL ROLE %I', wanted.name);
            EXECUTE format('ALTER ROLE %I SET %I = %L', wanted.name, wanted.setting, wanted.value);
            RESET ROLE;
        EXCEPTION
            WHEN insufficient_privilege THEN
                RAISE WARNING '% does not get its %, which counts behind a pooler', wanted.name, wanted.setting;
        END;
    END LOOP;
END
$roles$;
