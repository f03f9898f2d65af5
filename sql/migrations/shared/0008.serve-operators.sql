-- What operators need: maintenance, in which nothing is written; a purge that one instance of many does.
-- depends: 0007.trim-privileges

SET LOCAL lock_timeout = '4s';

ALTER TABLE app.installation ADD COLUMN is_read_only boolean NOT NULL DEFAULT false,
                             ADD COLUMN purged_at timestamptz;
COMMENT ON COLUMN app.installation.is_read_only IS 'Maintenance: no commit gets a number, so nothing is written. quarry maintenance.';
COMMENT ON COLUMN app.installation.purged_at IS 'When an instance last began to purge; app.claim_purge().';
GRANT SELECT (is_read_only) ON app.installation TO quarry_app;
GRANT UPDATE (is_read_only) ON app.installation TO quarry_platform;

-- Asked at every commit that changes something, in a statement of its own: a commit after maintenance has begun sees it.
CREATE OR REPLACE FUNCTION app.number_commit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    taken bigint;
    moment timestamptz;
BEGIN
    IF (SELECT is_read_only FROM app.installation) THEN
        RAISE EXCEPTION 'nothing is written during maintenance' USING ERRCODE = '25006';
    END IF;
    WITH counted AS (
        UPDATE app.heads SET head = head + 1 WHERE tenant_id = NEW.tenant_id RETURNING head
    )
    INSERT INTO app.commits (tenant_id, number, xid, actor_id, session_id, ip, request_id)
    SELECT NEW.tenant_id, c.head, NEW.xid,
           nullif(current_setting('app.actor_id', true), '')::uuid,
           nullif(current_setting('app.session_id', true), '')::uuid,
           nullif(current_setting('app.ip', true), '')::inet,
           nullif(current_setting('app.request_id', true), '')
      FROM counted AS c
    RETURNING number, at INTO taken, moment;
    IF taken IS NULL THEN
        RAISE EXCEPTION 'tenant % has no stream', NEW.tenant_id USING ERRCODE = 'TN003';
    END IF;
    RAISE INFO 'commit % % % %', NEW.tenant_id, taken, NEW.xid, (extract(epoch FROM moment) * 1000000)::bigint USING ERRCODE = 'TN900';
    RETURN NULL;
END
$$;

-- Writes that are not recorded have no number; those that must not happen during maintenance have this trigger.
CREATE FUNCTION app.refuse_in_maintenance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    IF (SELECT is_read_only FROM app.installation) THEN
        RAISE EXCEPTION 'nothing is written during maintenance' USING ERRCODE = '25006';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION app.refuse_in_maintenance() IS 'Refuses writes of tables that are not recorded while nothing is to be written.';

-- The first instance that asks once the time has passed is the one that purges.
CREATE FUNCTION app.claim_purge(every interval) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    UPDATE app.installation SET purged_at = now() WHERE coalesce(purged_at < now() - every, true);
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION app.claim_purge(interval) IS 'Whether it is the caller who purges now, and nobody else for a while.';
GRANT EXECUTE ON FUNCTION app.claim_purge(interval) TO quarry_app;

CREATE FUNCTION app.tenants_after(previous uuid, at_most integer) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = ''
AS $$
    SELECT t.id FROM app.tenants AS t WHERE t.id > previous ORDER BY t.id LIMIT least(at_most, 10000)
$$;
COMMENT ON FUNCTION app.tenants_after(uuid, integer) IS 'The ids of tenants in id order, for what is done for each of them in turn.';
GRANT EXECUTE ON FUNCTION app.tenants_after(uuid, integer) TO quarry_app;

-- Recovered twice from the same backup, a database lives two lives: on two timelines, so of two epochs.
CREATE OR REPLACE FUNCTION app.enter_life() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    life   app.installation;
    server bigint  := (SELECT system_identifier FROM pg_control_system());
    base   oid     := (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
    line   integer;
BEGIN
    SELECT * INTO life FROM app.installation;
    IF pg_is_in_recovery() THEN
        RETURN life.epoch;
    END IF;
    line := ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::integer;
    IF (life.system_identifier, life.database_oid, life.timeline) = (server, base, line) THEN
        RETURN life.epoch;
    END IF;
    SELECT * INTO life FROM app.installation FOR UPDATE;
    IF (life.system_identifier, life.database_oid, life.timeline) = (server, base, line) THEN
        RETURN life.epoch;
    END IF;
    IF (life.system_identifier, life.database_oid) <> (server, base) THEN
        -- Transaction ids of another cluster would meet the same ones of this cluster. They are moved to where none is
        -- ever given, so that the audit survives a restore.
        LOCK TABLE app.changes, app.commits IN SHARE ROW EXCLUSIVE MODE;
        UPDATE app.changes SET xid = app.former_xid(xid, life.epoch) WHERE xid < '9223372036854775808'::xid8;
        UPDATE app.commits SET xid = app.former_xid(xid, life.epoch) WHERE xid < '9223372036854775808'::xid8;
    END IF;
    UPDATE app.installation
       SET epoch = epoch + greatest(1, line - life.timeline), system_identifier = server, database_oid = base, timeline = line
    RETURNING epoch INTO life.epoch;
    RETURN life.epoch;
END
$$;
