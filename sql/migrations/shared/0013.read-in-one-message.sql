-- What a read needs that is sent as one message, without BEGIN and COMMIT: sql/templates/read.sql.
-- depends: 0012.compare-bytes

SET LOCAL lock_timeout = '4s';

-- VOLATILE, so that the planner neither calls it nor leaves it out.
CREATE FUNCTION app.entered(tenant uuid) RETURNS uuid
    LANGUAGE plpgsql VOLATILE
AS $$
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', tenant::text, true);
    -- The names in the message have been looked up already, so it is too late for another search_path.
    IF EXISTS (SELECT FROM app.schemas AS s WHERE s.tenant_id = tenant) THEN
        RETURN NULL;
    END IF;
    RETURN tenant;
END
$$;
COMMENT ON FUNCTION app.entered(uuid) IS 'Binds the statement that calls it to a tenant, and returns the tenant; NULL, although bound, if the tenant has a schema of its own.';
GRANT EXECUTE ON FUNCTION app.entered(uuid) TO quarry_app;

-- What Python can't hold is shown as the first or the last that it can, as in service/database/temporal.py.
CREATE FUNCTION app.rfc3339(moment timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN replace(to_char(CASE WHEN moment > '9999-12-31 23:59:59.999999+00' THEN '9999-12-31 23:59:59.999999'
                                WHEN moment < '0001-01-01 00:00:00+00' THEN '0001-01-01 00:00:00'
                                ELSE moment AT TIME ZONE 'UTC' END,
                           'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z');
COMMENT ON FUNCTION app.rfc3339(timestamptz) IS 'A timestamp as the API writes it: in UTC, with six digits of the second unless all are 0.';
GRANT EXECUTE ON FUNCTION app.rfc3339(timestamptz) TO quarry_app;

CREATE FUNCTION app.rfc3339(day date) RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN day > '9999-12-31' THEN '9999-12-31'::date
                WHEN day < '0001-01-01' THEN '0001-01-01'::date
                ELSE day END;
COMMENT ON FUNCTION app.rfc3339(date) IS 'A date as the API writes it: none before the year 1, and none after 9999.';
GRANT EXECUTE ON FUNCTION app.rfc3339(date) TO quarry_app;
