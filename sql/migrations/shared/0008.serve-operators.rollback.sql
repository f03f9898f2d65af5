SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.tenants_after(uuid, integer);
DROP FUNCTION app.claim_purge(interval);
DROP FUNCTION app.refuse_in_maintenance();
CREATE OR REPLACE FUNCTION app.number_commit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    taken bigint;
    moment timestamptz;
BEGIN
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
       SET epoch = epoch + 1, system_identifier = server, database_oid = base, timeline = line
    RETURNING epoch INTO life.epoch;
    RETURN life.epoch;
END
$$;
ALTER TABLE app.installation DROP COLUMN is_read_only, DROP COLUMN purged_at;
