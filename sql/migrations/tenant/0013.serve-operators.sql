-- What operators need of the tenants' schema: the serving role sees which migrations are applied; codes rest in maintenance.
-- depends: 0012.trim-privileges 0008.serve-operators

SET LOCAL lock_timeout = '4s';

CREATE FUNCTION applied_migrations() RETURNS TABLE (id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path FROM CURRENT
AS $$
BEGIN
    RETURN QUERY SELECT m.migration_id::text FROM _yoyo_migration AS m;
END
$$;
COMMENT ON FUNCTION applied_migrations() IS 'Health: the ids of the migrations that this database has.';
GRANT EXECUTE ON FUNCTION applied_migrations() TO quarry_app;

CREATE TRIGGER refuse_in_maintenance BEFORE INSERT OR UPDATE ON otps
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_in_maintenance();
