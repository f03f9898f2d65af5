-- The log as a stream: what its readers need, and what must not happen to it.
-- depends: 0005.keep-the-audit

SET LOCAL lock_timeout = '4s';

-- The last ordinal of a tenant in this transaction is one step in the primary key, however much is there already. Nearly
-- every statement is about one tenant.
CREATE OR REPLACE FUNCTION app.record_changes(changed_table text, operation text, tenants uuid[], ids uuid[], changed text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
#variable_conflict use_column
DECLARE
    only_one uuid := tenants[1];
BEGIN
    IF only_one = ALL (tenants) THEN
        -- In one statement: app.enter_life() may be moving transaction ids, and has to be waited for before looking.
        INSERT INTO app.changes (tenant_id, ordinal, table_name, operation, row_id, columns)
        SELECT only_one,
               coalesce((SELECT c.ordinal
                           FROM app.changes AS c
                          WHERE c.tenant_id = only_one AND c.xid = pg_current_xact_id()
                          ORDER BY c.ordinal DESC
                          LIMIT 1), 0) + r.position,
               changed_table, record_changes.operation, r.id, string_to_array(r.columns, ',')
          FROM unnest(ids, changed) WITH ORDINALITY AS r (id, columns, position);
        RETURN;
    END IF;
    WITH last AS MATERIALIZED (
        SELECT t.tenant_id,
               (SELECT c.ordinal
                  FROM app.changes AS c
                 WHERE c.tenant_id = t.tenant_id AND c.xid = pg_current_xact_id()
                 ORDER BY c.ordinal DESC
                 LIMIT 1) AS ordinal
          FROM (SELECT DISTINCT unnest(tenants)) AS t (tenant_id)
    )
    INSERT INTO app.changes (tenant_id, ordinal, table_name, operation, row_id, columns)
    SELECT r.tenant_id,
           coalesce(l.ordinal, 0) + row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.position),
           changed_table, record_changes.operation, r.id, string_to_array(r.columns, ',')
      FROM unnest(tenants, ids, changed) WITH ORDINALITY AS r (tenant_id, id, columns, position)
      JOIN last AS l ON l.tenant_id = r.tenant_id;
END
$$;

-- The same as before in one statement instead of two: it is on the way of every commit. Its message tells the row's time
-- too, in microseconds since 1970: number and xid alone are given again after a crash.
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

-- What became of a commit whose answer was lost, as its message told it. The transaction id alone can't tell: one that a
-- crash has lost is given again, to a transaction that may commit. The row that was written with it can.
CREATE FUNCTION app.commit_outcome(tenant uuid, numbered bigint, transaction_id xid8, microseconds bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    BEGIN
        IF pg_xact_status(transaction_id) = 'in progress' THEN
            RETURN 'in progress';
        END IF;
    EXCEPTION WHEN invalid_parameter_value THEN
        -- It has not been given yet: a crash has lost it.
        NULL;
    END;
    -- Of a statement that begins after the transaction has ended.
    PERFORM FROM app.commits AS c
      WHERE c.tenant_id = tenant
        AND c.number = numbered
        AND (extract(epoch FROM c.at) * 1000000)::bigint = microseconds;
    RETURN CASE WHEN FOUND THEN 'committed' ELSE 'aborted' END;
END
$$;
COMMENT ON FUNCTION app.commit_outcome(uuid, bigint, xid8, bigint) IS 'Whether a commit whose answer was lost has happened: committed, aborted or in progress.';
GRANT EXECUTE ON FUNCTION app.commit_outcome(uuid, bigint, xid8, bigint) TO quarry_app, quarry_platform;

-- Its plan is made with the first statement's rows and kept for statements with many; a nested loop would be quadratic.
ALTER FUNCTION app.record_tenants() SET enable_nestloop = off;

-- TRUNCATE fires no trigger for its rows, so it would take them away unseen.
CREATE FUNCTION app.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = ''
AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would not be recorded', TG_TABLE_NAME USING ERRCODE = 'TN007', HINT = 'DELETE its rows.';
END
$$;
COMMENT ON FUNCTION app.refuse_truncate() IS 'Refuses what the log can''t record (TN007).';
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.tenants
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

-- Shared reference data belongs to no tenant, so it has a number of its own: list ETags and the cache carry both.
ALTER TABLE app.installation ADD COLUMN shared_number bigint NOT NULL DEFAULT 0;
CREATE FUNCTION app.number_shared() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    UPDATE app.installation SET shared_number = shared_number + 1;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION app.number_shared() IS 'Raises the number of the shared reference data.';
CREATE TRIGGER number_shared AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON app.niches
    FOR EACH STATEMENT EXECUTE FUNCTION app.number_shared();

-- A restored, promoted or copied database gives numbers again that were given before. It is another life, so it has
-- another epoch: whoever holds a number of the one before is told to start anew.
ALTER TABLE app.installation ADD COLUMN database_oid oid;
UPDATE app.installation SET database_oid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
ALTER TABLE app.installation ALTER COLUMN database_oid SET NOT NULL;
CREATE FUNCTION app.enter_life() RETURNS integer
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
COMMENT ON FUNCTION app.enter_life() IS 'The epoch; raised first when the database is not the one that it was: restored, promoted, copied.';
CREATE FUNCTION app.former_xid(given xid8, epoch integer) RETURNS xid8
    LANGUAGE sql STABLE
    SET search_path = ''
AS $$
    -- The upper half of xid8, 2^44 ids for every epoch.
    SELECT ((given::text::numeric + 9223372036854775808 + epoch::numeric * 17592186044416)::text)::xid8
$$;
COMMENT ON FUNCTION app.former_xid(xid8, integer) IS 'Where the transaction ids of an earlier life of the database are kept.';
GRANT EXECUTE ON FUNCTION app.enter_life() TO quarry_app, quarry_platform;

CREATE FUNCTION app.raise_epoch() RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path = ''
AS $$
    UPDATE app.installation SET epoch = epoch + 1 RETURNING epoch
$$;
COMMENT ON FUNCTION app.raise_epoch() IS 'What nobody can notice: quarry changes reset, after a restore into the same database.';
GRANT EXECUTE ON FUNCTION app.raise_epoch() TO quarry_platform;

CREATE TABLE app.cursors (
    tenant_id  uuid        NOT NULL,
    consumer   text        NOT NULL,
    epoch      integer     NOT NULL,
    number     bigint      NOT NULL,
    failures   integer     NOT NULL DEFAULT 0,
    retry_at   timestamptz,
    cut_off_at timestamptz,
    moved_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT cursors_pkey PRIMARY KEY (tenant_id, consumer),
    CONSTRAINT cursors_consumer_check CHECK (consumer ~ '^[a-z][a-z0-9_]{0,62}$'),
    CONSTRAINT cursors_number_check CHECK (number >= 0),
    CONSTRAINT cursors_failures_check CHECK (failures >= 0)
);
COMMENT ON TABLE app.cursors IS 'How far each consumer has read each tenant''s stream. A failing one is asked again at retry_at; one that was cut off has missed something.';
COMMENT ON CONSTRAINT cursors_pkey ON app.cursors IS 'One place per consumer and tenant; cursors.take.';
COMMENT ON CONSTRAINT cursors_consumer_check ON app.cursors IS 'A name as in code.';
COMMENT ON CONSTRAINT cursors_number_check ON app.cursors IS 'Numbers count from 1; 0 is before all of them.';
COMMENT ON CONSTRAINT cursors_failures_check ON app.cursors IS 'A count.';
ALTER TABLE app.cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.cursors TO quarry_app
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
CREATE POLICY log ON app.cursors TO quarry_owner USING (true) WITH CHECK (true);
GRANT SELECT ON app.cursors TO quarry_app;
GRANT INSERT (tenant_id, consumer, epoch, number),
      UPDATE (epoch, number, failures, retry_at, cut_off_at, moved_at) ON app.cursors TO quarry_app;

-- Which tenants have something for a consumer, without being any tenant: ids only.
CREATE FUNCTION app.waiting(name text, at_most integer) RETURNS TABLE (tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = ''
AS $$
    SELECT h.tenant_id
      FROM app.heads AS h
     CROSS JOIN app.installation AS i
      LEFT JOIN app.cursors AS c ON c.tenant_id = h.tenant_id AND c.consumer = name
     WHERE (c.number IS NULL OR c.number < h.head OR c.epoch <> i.epoch)
       AND (c.retry_at IS NULL OR c.retry_at <= now())
     ORDER BY c.moved_at NULLS FIRST
     LIMIT at_most
$$;
COMMENT ON FUNCTION app.waiting(text, integer) IS 'Polling of consumers: ids only, no content of any tenant.';
GRANT EXECUTE ON FUNCTION app.waiting(text, integer) TO quarry_app;

-- How far behind consumers are, for health: counts and a time, over all tenants.
CREATE FUNCTION app.consumer_lag() RETURNS TABLE (consumer text, tenants bigint, failing bigint, cut_off bigint, oldest timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = ''
AS $$
    SELECT c.consumer,
           count(*) FILTER (WHERE c.number < h.head OR c.epoch <> i.epoch),
           count(*) FILTER (WHERE c.failures > 0),
           count(*) FILTER (WHERE c.cut_off_at IS NOT NULL),
           min(coalesce(n.at, c.moved_at)) FILTER (WHERE c.number < h.head OR c.epoch <> i.epoch)
      FROM app.cursors AS c
     CROSS JOIN app.installation AS i
      JOIN app.heads AS h ON h.tenant_id = c.tenant_id
      LEFT JOIN app.commits AS n ON n.tenant_id = c.tenant_id AND n.number = c.number + 1
     GROUP BY c.consumer
$$;
COMMENT ON FUNCTION app.consumer_lag() IS 'Health: per consumer how many tenants it is behind in, fails in, was cut off in, and since when it is behind.';
GRANT EXECUTE ON FUNCTION app.consumer_lag() TO quarry_app, quarry_platform;

CREATE FUNCTION app.forget_consumer(name text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path = ''
AS $$
    WITH forgotten AS (DELETE FROM app.cursors WHERE consumer = name RETURNING tenant_id)
    SELECT count(*) FROM forgotten
$$;
COMMENT ON FUNCTION app.forget_consumer(text) IS 'quarry changes forget: the places of a consumer that is no more; answers how many.';
GRANT EXECUTE ON FUNCTION app.forget_consumer(text) TO quarry_platform;
