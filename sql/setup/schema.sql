-- One schema for the tables of tenants: the one that they share, or one of a tenant's own. Safe to repeat; run as
-- quarry_owner, after database.sql. Its name is what the setting quarry.schema says (DATABASE_SCHEMA; quarry).
DO $schema$
DECLARE
    tenants text := coalesce(nullif(current_setting('quarry.schema', true), ''), 'quarry');
BEGIN
    EXECUTE format('CREATE SCHEMA IF NOT EXISTS %I', tenants);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO quarry_app, quarry_platform', tenants);
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'quarry_backup') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO quarry_backup', tenants);
    END IF;
END
$schema$;
