-- The looks for what has ended and for what waits to be sealed find their tables in the catalog, and name none of a domain.
-- depends: 0018.give-locks-back

SET LOCAL lock_timeout = '4s';

-- The functions keep the path that the first session has that makes them; a temporary table must not come before theirs.
DO $path$ BEGIN PERFORM set_config('search_path', format('%I, pg_temp', current_schema()), true); END $path$;

-- What a row's end is in accounts and the log is named here. Tables with deleted_at come from the catalog.
CREATE OR REPLACE FUNCTION has_ended_rows(tenant uuid, idle interval, further text[]) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path FROM CURRENT
AS $$
DECLARE
    kept        record;
    looks       text;
    has_deleted boolean := false;
BEGIN
    SELECT now() - deleted_retention AS deleted, now() - log_retention AS logged INTO kept FROM app.installation;
    IF EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = tenant AND s.expired_at IS NULL AND s.revoked_at IS NULL
                                           AND least(s.expires_at, s.last_seen_at + idle) <= now())
    OR EXISTS (SELECT FROM sessions AS s WHERE s.tenant_id = tenant
                                           AND least(s.expires_at, s.revoked_at, s.last_seen_at + idle) < now() - interval '1 day')
    OR EXISTS (SELECT FROM change_tickets AS t WHERE t.tenant_id = tenant AND t.expires_at <= now())
    OR EXISTS (SELECT FROM otps AS o WHERE o.tenant_id = tenant AND o.expires_at < now() - interval '1 day')
    OR EXISTS (SELECT FROM idempotency_keys AS k WHERE k.tenant_id = tenant AND k.expires_at < now())
    OR EXISTS (SELECT FROM sign_in_failures AS f WHERE f.tenant_id = tenant AND f.created_at < kept.logged)
    OR EXISTS (SELECT FROM api_keys AS k WHERE k.tenant_id = tenant AND least(k.revoked_at, k.expires_at) < kept.deleted)
    OR EXISTS (SELECT FROM users AS r WHERE r.tenant_id = tenant AND r.deleted_at < kept.deleted)
    OR (SELECT c.at FROM app.commits AS c WHERE c.tenant_id = tenant ORDER BY c.number LIMIT 1) < kept.logged THEN
        RETURN true;
    END IF;
    -- One query for all of them: it is planned for each tenant.
    SELECT string_agg(format('EXISTS (SELECT FROM %I AS r WHERE r.tenant_id = $1 AND r.deleted_at < $2)', f.name), ' OR ')
      INTO looks
      FROM unnest(further) AS f (name);
    IF looks IS NOT NULL THEN
        EXECUTE 'SELECT ' || looks INTO has_deleted USING tenant, kept.deleted;
    END IF;
    RETURN has_deleted;
END
$$;

CREATE OR REPLACE FUNCTION tenants_to_purge(previous uuid, at_most integer, idle interval) RETURNS TABLE (tenant_id uuid, is_due boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT
    -- What is prepared for one tenant is right for all.
    SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    before  text := current_setting('app.tenant_id', true);
    further text[] := ARRAY(SELECT c.relname::text
                              FROM pg_catalog.pg_class AS c
                              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'deleted_at' AND NOT a.attisdropped
                              JOIN pg_catalog.pg_attribute AS b ON b.attrelid = c.oid AND b.attname = 'tenant_id' AND NOT b.attisdropped
                             WHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = current_schema())
                               AND c.relkind IN ('r', 'p')
                               AND c.relname <> 'users');
    own     text;
BEGIN
    FOR tenant_id, own IN
        SELECT t.id, s.name
          FROM app.tenants AS t
          LEFT JOIN app.schemas AS s ON s.tenant_id = t.id
         WHERE t.id > previous
         ORDER BY t.id
         LIMIT least(at_most, 10000)
    LOOP
        PERFORM set_config('app.tenant_id', tenant_id::text, true);
        IF own IS NULL THEN
            is_due := has_ended_rows(tenant_id, idle, further);
        ELSE
            BEGIN
                EXECUTE format('SELECT %I.has_ended_rows($1, $2, $3)', own) INTO is_due USING tenant_id, idle, further;
                -- Undone at once, which gives its locks back: those on a thousand schemas fill the server's table of locks.
                RAISE EXCEPTION USING ERRCODE = 'QR001';
            EXCEPTION
            WHEN SQLSTATE 'QR001' THEN
                NULL;
            WHEN OTHERS THEN
                -- A schema that is behind is its tenant's affair: the purge tries there, and tells of that tenant alone.
                is_due := true;
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('app.tenant_id', coalesce(before, ''), true);
END
$$;

-- A column of personal data is one whose CHECK calls app.is_sealed().
CREATE FUNCTION look_for_plain_values() RETURNS text
    LANGUAGE sql STABLE
    SET search_path FROM CURRENT
AS $$
    SELECT 'SELECT ' || coalesce(string_agg(
               format('EXISTS (SELECT FROM %I AS r WHERE r.tenant_id = $1 AND ''\x00''::bytea IN (%s))', p.name, p.firsts), ' OR '), '$1 IS NULL')
      FROM (SELECT c.relname AS name, string_agg(format('substring(r.%I FROM 1 FOR 1)', a.attname), ', ') AS firsts
              FROM pg_catalog.pg_constraint AS k
              JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
             WHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = current_schema())
               AND k.contype = 'c'
               AND a.atttypid = 'bytea'::regtype
               -- A blind index stands in the same CHECK, and may begin with any byte.
               AND a.attname !~ '_index$'
               AND EXISTS (SELECT
                             FROM pg_catalog.pg_depend AS d
                            WHERE d.classid = 'pg_catalog.pg_constraint'::regclass
                              AND d.objid = k.oid
                              AND d.refobjid = 'app.is_sealed(bytea)'::regprocedure)
             GROUP BY c.relname) AS p
$$;
COMMENT ON FUNCTION look_for_plain_values() IS 'The query that tells whether tenant $1 has personal data that waits to be sealed, in whichever table.';
REVOKE ALL ON FUNCTION look_for_plain_values() FROM PUBLIC;

CREATE OR REPLACE FUNCTION has_plain_values(tenant uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path FROM CURRENT
AS $$
DECLARE
    found_one boolean;
BEGIN
    EXECUTE look_for_plain_values() INTO found_one USING tenant;
    RETURN found_one;
END
$$;

CREATE OR REPLACE FUNCTION tenants_to_seal(previous uuid, at_most integer) RETURNS TABLE (tenant_id uuid, waits boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path FROM CURRENT
    SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    before text := current_setting('app.tenant_id', true);
    look   text := look_for_plain_values();
    own    text;
BEGIN
    FOR tenant_id, own IN
        SELECT t.id, s.name
          FROM app.tenants AS t
          LEFT JOIN app.schemas AS s ON s.tenant_id = t.id
         WHERE t.id > previous
         ORDER BY t.id
         LIMIT least(at_most, 10000)
    LOOP
        PERFORM set_config('app.tenant_id', tenant_id::text, true);
        IF own IS NULL THEN
            EXECUTE look INTO waits USING tenant_id;
        ELSE
            BEGIN
                EXECUTE format('SELECT %I.has_plain_values($1)', own) INTO waits USING tenant_id;
                -- Undone at once, which gives its locks back: those on a thousand schemas fill the server's table of locks.
                RAISE EXCEPTION USING ERRCODE = 'QR001';
            EXCEPTION
            WHEN SQLSTATE 'QR001' THEN
                NULL;
            WHEN OTHERS THEN
                waits := true;
            END;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('app.tenant_id', coalesce(before, ''), true);
END
$$;
