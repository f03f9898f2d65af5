-- What reading from a replica needs: to know that it has got far enough.
-- depends: 0008.serve-operators

SET LOCAL lock_timeout = '4s';

-- Asked on the replica by work that reads there, before anything else: it has to have the commits that the service knows of.
-- A replica is a moment behind, so they are waited for; what a statement of it then shows is that far at least.
CREATE FUNCTION app.reach(wanted_epoch integer, wanted_head bigint, wanted_shared bigint, patience interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + patience;
BEGIN
    -- One that has been promoted may have gone another way since, under the same numbers.
    WHILE pg_is_in_recovery() LOOP
        PERFORM FROM app.installation AS i
                JOIN app.heads AS h ON h.tenant_id = app.current_tenant()
               WHERE i.epoch = wanted_epoch
                 AND i.shared_number >= wanted_shared
                 AND h.head >= wanted_head;
        IF FOUND THEN
            RETURN;
        END IF;
        EXIT WHEN clock_timestamp() >= deadline;
        PERFORM pg_sleep(0.002);
    END LOOP;
    RAISE EXCEPTION 'this server has not got that far' USING ERRCODE = 'TN008';
END
$$;
COMMENT ON FUNCTION app.reach(integer, bigint, bigint, interval) IS 'Returns once this replica has the tenant''s commits up to a number; raises TN008 when it does not get there in time.';
GRANT EXECUTE ON FUNCTION app.reach(integer, bigint, bigint, interval) TO quarry_app;
