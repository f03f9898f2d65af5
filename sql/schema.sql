-- The schema as the migrations leave it, for reading: migrations alone do not show what a table is today.
-- Written by `make schema`; tests/schema/test_schema.py fails when it differs from the migrations. Nothing runs this file.

CREATE SCHEMA app;

CREATE SCHEMA quarry;

CREATE FUNCTION app.claim_keys(given bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    UPDATE app.installation SET keys_check = given WHERE keys_check IS NULL;
    RETURN (SELECT keys_check = given FROM app.installation);
END
$$;

COMMENT ON FUNCTION app.claim_keys(given bytea) IS 'Whether these are the keys of this database; the first ones become so.';

CREATE FUNCTION app.claim_purge(every interval) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    UPDATE app.installation SET purged_at = now() WHERE coalesce(purged_at < now() - every, true);
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION app.claim_purge(every interval) IS 'Whether it is the caller who purges now, and nobody else for a while.';

CREATE FUNCTION app.commit_outcome(tenant uuid, numbered bigint, transaction_id xid8, microseconds bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
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

COMMENT ON FUNCTION app.commit_outcome(tenant uuid, numbered bigint, transaction_id xid8, microseconds bigint) IS 'Whether a commit whose answer was lost has happened: committed, aborted or in progress.';

CREATE FUNCTION app.consumer_lag() RETURNS TABLE(consumer text, tenants bigint, failing bigint, cut_off bigint, oldest timestamp with time zone)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
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

CREATE FUNCTION app.current_tenant() RETURNS uuid
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
DECLARE
    bound text := current_setting('app.tenant_id', true);
BEGIN
    IF bound IS NULL OR bound = '' THEN
        RAISE EXCEPTION 'no tenant is bound to this transaction' USING ERRCODE = 'TN001';
    END IF;
    RETURN bound::uuid;
END
$$;

COMMENT ON FUNCTION app.current_tenant() IS 'The tenant of this transaction (setting app.tenant_id); raises TN001 when unbound.';

CREATE FUNCTION app.enter(tenant uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    own text;
BEGIN
    PERFORM pg_catalog.set_config('app.tenant_id', tenant::text, true);
    SELECT s.name INTO own FROM app.schemas AS s WHERE s.tenant_id = tenant;
    IF own IS NOT NULL THEN
        PERFORM pg_catalog.set_config('search_path', pg_catalog.format('%I, pg_temp', own), true);
    END IF;
END
$$;

COMMENT ON FUNCTION app.enter(tenant uuid) IS 'Binds the transaction to a tenant, and leads it to the tenant''s own schema if it has one.';

CREATE FUNCTION app.enter_life() RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
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

COMMENT ON FUNCTION app.enter_life() IS 'The epoch; raised first when the database is not the one that it was: restored, promoted, copied.';

CREATE FUNCTION app.entered(tenant uuid) RETURNS uuid
    LANGUAGE plpgsql
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

COMMENT ON FUNCTION app.entered(tenant uuid) IS 'Binds the statement that calls it to a tenant, and returns the tenant; NULL, although bound, if the tenant has a schema of its own.';

CREATE FUNCTION app.find_tenant(host text) RETURNS TABLE(id uuid, status text)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    SELECT t.id, t.status FROM app.tenants AS t WHERE t.domain = host
$$;

COMMENT ON FUNCTION app.find_tenant(host text) IS 'Sign-in: the tenant of a host name, its id and status and nothing else.';

CREATE FUNCTION app.fold_name() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    NEW.search_name := lower(NEW.name);
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION app.fold_name() IS 'Keeps search_name, the lower-case name that prefix searches compare.';

CREATE FUNCTION app.forget_consumer(name text) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    WITH forgotten AS (DELETE FROM app.cursors WHERE consumer = name RETURNING tenant_id)
    SELECT count(*) FROM forgotten
$$;

COMMENT ON FUNCTION app.forget_consumer(name text) IS 'quarry changes forget: the places of a consumer that is no more; answers how many.';

CREATE FUNCTION app.former_xid(given xid8, epoch integer) RETURNS xid8
    LANGUAGE sql STABLE
    SET search_path TO ''
    AS $$
    -- The upper half of xid8, 2^44 ids for every epoch.
    SELECT ((given::text::numeric + 9223372036854775808 + epoch::numeric * 17592186044416)::text)::xid8
$$;

COMMENT ON FUNCTION app.former_xid(given xid8, epoch integer) IS 'Where the transaction ids of an earlier life of the database are kept.';

CREATE FUNCTION app.heads(tenants uuid[]) RETURNS TABLE(tenant_id uuid, head bigint, floor bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    SELECT h.tenant_id, h.head, h.floor FROM app.heads AS h WHERE h.tenant_id = ANY (tenants)
$$;

COMMENT ON FUNCTION app.heads(tenants uuid[]) IS 'Polling: numbers only, no content of any tenant.';

CREATE FUNCTION app.is_sealed(value bytea) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
    SELECT substring(value FROM 1 FOR 1) IN ('\x00', '\x01')
$$;

COMMENT ON FUNCTION app.is_sealed(value bytea) IS 'Checks of columns that hold personal data: whether a value has the form of a sealed one.';

CREATE FUNCTION app.merge_patch(target jsonb, patch jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
BEGIN
    IF jsonb_typeof(patch) IS DISTINCT FROM 'object' THEN
        RETURN patch;
    END IF;
    IF jsonb_typeof(target) IS DISTINCT FROM 'object' THEN
        target := '{}';
    END IF;
    RETURN coalesce((SELECT jsonb_object_agg(key, CASE WHEN p.value IS NULL THEN t.value
                                                       ELSE app.merge_patch(t.value, p.value) END)
                       FROM jsonb_each(target) AS t
                       FULL JOIN jsonb_each(patch) AS p USING (key)
                      WHERE p.value IS NULL OR p.value <> 'null'),
                    '{}');
END
$$;

COMMENT ON FUNCTION app.merge_patch(target jsonb, patch jsonb) IS 'RFC 7396 merge of a patch into a JSON document.';

CREATE FUNCTION app.note_purge(failures integer) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    UPDATE app.installation SET purge_failures = failures;
    RETURN FOUND;
END
$$;

COMMENT ON FUNCTION app.note_purge(failures integer) IS 'Writes down how many tenants the purge that just ended has failed for.';

CREATE FUNCTION app.number_commit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
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

COMMENT ON FUNCTION app.number_commit() IS 'Gives a committing transaction its tenant''s next number.';

CREATE FUNCTION app.number_shared() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    UPDATE app.installation SET shared_number = shared_number + 1;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION app.number_shared() IS 'Raises the number of the shared reference data.';

CREATE FUNCTION app.open_stream() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    INSERT INTO app.heads (tenant_id) VALUES (NEW.id) ON CONFLICT (tenant_id) DO NOTHING;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION app.open_stream() IS 'Creates the counter of a new tenant.';

CREATE FUNCTION app.own_migrations() RETURNS TABLE(schema_name text, id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    FOR schema_name IN SELECT s.name FROM app.schemas AS s ORDER BY s.name LOOP
        RETURN QUERY EXECUTE format('SELECT %L::text, m.migration_id::text FROM %I._yoyo_migration AS m', schema_name, schema_name);
    END LOOP;
END
$$;

COMMENT ON FUNCTION app.own_migrations() IS 'Health: the ids of the migrations that the tenants'' own schemas have.';

CREATE FUNCTION app.prune_log(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
DECLARE
    old  bigint;
    done integer;
BEGIN
    IF tenant <> app.current_tenant() THEN
        RETURN 0;
    END IF;
    -- The oldest commits have the lowest numbers; the first one that is to be kept ends the run, whatever the clock said.
    SELECT coalesce(min(c.number) FILTER (WHERE c.is_kept) - 1, max(c.number)) INTO old
      FROM (SELECT number, at >= now() - (SELECT log_retention FROM app.installation) AS is_kept
              FROM app.commits
             WHERE tenant_id = tenant
             ORDER BY number
             LIMIT least(at_most, 10000)) AS c;
    IF old IS NULL THEN
        RETURN 0;
    END IF;
    DELETE FROM app.changes
     WHERE tenant_id = tenant
       AND xid IN (SELECT xid FROM app.commits WHERE tenant_id = tenant AND number <= old);
    DELETE FROM app.commits WHERE tenant_id = tenant AND number <= old;
    GET DIAGNOSTICS done = ROW_COUNT;
    UPDATE app.heads SET floor = greatest(floor, old) WHERE tenant_id = tenant;
    RETURN done;
END
$$;

COMMENT ON FUNCTION app.prune_log(tenant uuid, at_most integer) IS 'Deletes the bound tenant''s log beyond its retention, and says so by its floor.';

CREATE FUNCTION app.raise_epoch() RETURNS integer
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO ''
    AS $$
    UPDATE app.installation SET epoch = epoch + 1 RETURNING epoch
$$;

COMMENT ON FUNCTION app.raise_epoch() IS 'What nobody can notice: quarry changes reset, after a restore into the same database.';

CREATE FUNCTION app.reach(wanted_epoch integer, wanted_head bigint, wanted_shared bigint, patience interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
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

COMMENT ON FUNCTION app.reach(wanted_epoch integer, wanted_head bigint, wanted_shared bigint, patience interval) IS 'Returns once this replica has the tenant''s commits up to a number; raises TN008 when it does not get there in time.';

CREATE FUNCTION app.record_changes(changed_table text, operation text, tenants uuid[], ids uuid[], changed text[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO ''
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

COMMENT ON FUNCTION app.record_changes(changed_table text, operation text, tenants uuid[], ids uuid[], changed text[]) IS 'Writes the changed rows of one statement to the log.';

CREATE FUNCTION app.record_tenants() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('tenants', 'insert', array_agg(n.id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('tenants', 'update', array_agg(n.id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.domain IS DISTINCT FROM o.domain THEN 'domain' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.plan IS DISTINCT FROM o.plan THEN 'plan' END,
                CASE WHEN n.features IS DISTINCT FROM o.features THEN 'features' END,
                CASE WHEN n.configuration IS DISTINCT FROM o.configuration THEN 'configuration' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('tenants', 'delete', array_agg(o.id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION app.record_tenants() IS 'Writes changes of app.tenants to the log; a tenant is the tenant of its own row.';

CREATE FUNCTION app.refuse_in_maintenance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $$
BEGIN
    IF (SELECT is_read_only FROM app.installation) THEN
        RAISE EXCEPTION 'nothing is written during maintenance' USING ERRCODE = '25006';
    END IF;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION app.refuse_in_maintenance() IS 'Refuses writes of tables that are not recorded while nothing is to be written.';

CREATE FUNCTION app.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would not be recorded', TG_TABLE_NAME USING ERRCODE = 'TN007', HINT = 'DELETE its rows.';
END
$$;

COMMENT ON FUNCTION app.refuse_truncate() IS 'Refuses what the log can''t record (TN007).';

CREATE FUNCTION app.rfc3339(day date) RETURNS date
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN (day > '9999-12-31'::date) THEN '9999-12-31'::date WHEN (day < '0001-01-01'::date) THEN '0001-01-01'::date ELSE day END;

COMMENT ON FUNCTION app.rfc3339(day date) IS 'A date as the API writes it: none before the year 1, and none after 9999.';

CREATE FUNCTION app.rfc3339(moment timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN replace(to_char(CASE WHEN (moment > '9999-12-31 23:59:59.999999+00'::timestamp with time zone) THEN '9999-12-31 23:59:59.999999'::timestamp without time zone WHEN (moment < '0001-01-01 00:00:00+00'::timestamp with time zone) THEN '0001-01-01 00:00:00'::timestamp without time zone ELSE (moment AT TIME ZONE 'UTC'::text) END, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'::text), '.000000Z'::text, 'Z'::text);

COMMENT ON FUNCTION app.rfc3339(moment timestamp with time zone) IS 'A timestamp as the API writes it: in UTC, with six digits of the second unless all are 0.';

CREATE FUNCTION app.tenants_after(previous uuid, at_most integer) RETURNS TABLE(tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
    AS $$
    SELECT t.id FROM app.tenants AS t WHERE t.id > previous ORDER BY t.id LIMIT least(at_most, 10000)
$$;

COMMENT ON FUNCTION app.tenants_after(previous uuid, at_most integer) IS 'The ids of tenants in id order, for what is done for each of them in turn.';

CREATE FUNCTION app.touch() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    IF NEW.tenant_id <> OLD.tenant_id OR NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'a row of % keeps its tenant and its id', TG_TABLE_NAME USING ERRCODE = 'TN004';
    END IF;
    NEW.created_at := OLD.created_at;
    NEW.updated_at := now();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION app.touch() IS 'Row life cycle of a tenant table: version and updated_at move with every real change, tenant_id and id never do.';

CREATE FUNCTION app.touch_shared() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    IF NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'a row of % keeps its id', TG_TABLE_NAME USING ERRCODE = 'TN004';
    END IF;
    NEW.created_at := OLD.created_at;
    NEW.updated_at := now();
    NEW.version := OLD.version + 1;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION app.touch_shared() IS 'Row life cycle of tenants and niches: version and updated_at move with every real change, id never does.';

CREATE FUNCTION app.unsealed(plain text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
    SELECT '\x00'::bytea || convert_to(plain, 'UTF8')
$$;

COMMENT ON FUNCTION app.unsealed(plain text) IS 'Plain text that waits to be sealed (quarry pii rotate); the service refuses to read it before.';

CREATE FUNCTION app.unsealed_index(plain text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path TO ''
    AS $$
    SELECT sha256('\x00'::bytea || convert_to(plain, 'UTF8'))
$$;

COMMENT ON FUNCTION app.unsealed_index(plain text) IS 'Stands in for the blind index of a value that waits to be sealed.';

CREATE FUNCTION app.waiting(name text, at_most integer) RETURNS TABLE(tenant_id uuid)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path TO ''
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

COMMENT ON FUNCTION app.waiting(name text, at_most integer) IS 'Polling of consumers: ids only, no content of any tenant.';

CREATE FUNCTION quarry.applied_migrations() RETURNS TABLE(id text)
    LANGUAGE plpgsql STABLE SECURITY DEFINER
    SET search_path TO 'quarry'
    AS $$
BEGIN
    RETURN QUERY SELECT m.migration_id::text FROM _yoyo_migration AS m;
END
$$;

COMMENT ON FUNCTION quarry.applied_migrations() IS 'Health: the ids of the migrations that this database has.';

CREATE FUNCTION quarry.check_brand_unused() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM campaigns WHERE tenant_id = NEW.tenant_id AND brand_id = NEW.id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the brand is on campaigns' USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION quarry.check_brand_unused() IS 'Refuses to delete a brand that live campaigns refer to (TN006).';

CREATE FUNCTION quarry.check_campaign_references() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    is_new boolean := TG_OP = 'INSERT' OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL);
BEGIN
    IF current_user = 'quarry_owner' THEN
        RETURN NEW;
    END IF;
    IF is_new OR NEW.owner_id IS DISTINCT FROM OLD.owner_id THEN
        PERFORM FROM users WHERE tenant_id = NEW.tenant_id AND id = NEW.owner_id AND deleted_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'owner_id is not a live user' USING ERRCODE = 'foreign_key_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_owner_id_fkey';
        END IF;
    END IF;
    IF NEW.brand_id IS NOT NULL AND (is_new OR NEW.brand_id IS DISTINCT FROM OLD.brand_id) THEN
        PERFORM FROM brands WHERE tenant_id = NEW.tenant_id AND id = NEW.brand_id AND deleted_at IS NULL FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'brand_id is not a live brand' USING ERRCODE = 'foreign_key_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_brand_id_fkey';
        END IF;
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION quarry.check_campaign_references() IS 'owner_id and brand_id may be set to live rows only; runs as the caller, inside its tenant.';

CREATE FUNCTION quarry.check_influencer_unused() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM campaign_influencers AS a
                 JOIN campaigns AS c ON c.tenant_id = a.tenant_id AND c.id = a.campaign_id
                WHERE a.tenant_id = NEW.tenant_id AND c.tenant_id = NEW.tenant_id AND a.influencer_id = NEW.id
                  AND a.status IN ('invited', 'accepted') AND c.deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the influencer is on campaigns' USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION quarry.check_influencer_unused() IS 'Refuses to delete an influencer whom live campaigns refer to (TN006).';

CREATE FUNCTION quarry.check_user_unused() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM campaigns WHERE tenant_id = NEW.tenant_id AND owner_id = NEW.id AND deleted_at IS NULL) THEN
        RAISE EXCEPTION 'the user owns campaigns' USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION quarry.check_user_unused() IS 'Refuses to delete a user who owns live campaigns (TN006).';

CREATE FUNCTION quarry.complete_brand() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    NEW.is_profile_completed := num_nulls(NEW.legal_entity_name, NEW.company_type, NEW.poc_name, NEW.poc_designation,
                                          NEW.poc_email, NEW.poc_contact_number, NEW.incorporation_document,
                                          NEW.gst_document, NEW.pan_document) = 0;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION quarry.complete_brand() IS 'Keeps is_profile_completed, which no caller can set.';

CREATE FUNCTION quarry.has_ended_rows(tenant uuid, idle interval, further text[]) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'quarry', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION quarry.has_ended_rows(tenant uuid, idle interval, further text[]) IS 'Whether the purge has anything to do in the bound tenant; `further` are tables with deleted_at that this function does not name.';

CREATE FUNCTION quarry.has_plain_values(tenant uuid) RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path TO 'quarry', 'pg_temp'
    AS $$
DECLARE
    found_one boolean;
BEGIN
    EXECUTE look_for_plain_values() INTO found_one USING tenant;
    RETURN found_one;
END
$$;

COMMENT ON FUNCTION quarry.has_plain_values(tenant uuid) IS 'Whether the bound tenant has personal data that waits to be sealed.';

CREATE FUNCTION quarry.keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    AS $_$
DECLARE
    left_over boolean;
BEGIN
    PERFORM FROM app.tenants AS t WHERE t.id = OLD.tenant_id FOR NO KEY UPDATE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.users WHERE tenant_id = $1 AND role = ''owner'' AND is_active AND deleted_at IS NULL)', TG_TABLE_SCHEMA)
       INTO left_over USING OLD.tenant_id;
    IF NOT left_over THEN
        RAISE EXCEPTION 'the last owner of a tenant stays' USING ERRCODE = 'TN005';
    END IF;
    RETURN NULL;
END
$_$;

COMMENT ON FUNCTION quarry.keep_an_owner() IS 'The last active owner of a tenant can be neither removed, demoted nor deactivated (TN005).';

CREATE FUNCTION quarry.keep_archived() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    RAISE EXCEPTION 'an archived campaign stays archived' USING ERRCODE = 'check_violation', TABLE = 'campaigns', CONSTRAINT = 'campaigns_status_check';
END
$$;

COMMENT ON FUNCTION quarry.keep_archived() IS 'Refuses a status change out of archived.';

CREATE FUNCTION quarry.look_for_plain_values() RETURNS text
    LANGUAGE sql STABLE
    SET search_path TO 'quarry', 'pg_temp'
    AS $_$
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
$_$;

COMMENT ON FUNCTION quarry.look_for_plain_values() IS 'The query that tells whether tenant $1 has personal data that waits to be sealed, in whichever table.';

CREATE FUNCTION quarry.prune_api_keys(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'quarry', 'pg_temp'
    AS $$
DECLARE
    done integer;
BEGIN
    DELETE FROM api_keys
     WHERE tenant_id = tenant
       AND tenant = app.current_tenant()
       AND id IN (SELECT k.id
                    FROM api_keys AS k
                   WHERE k.tenant_id = tenant
                     AND least(k.revoked_at, k.expires_at) < now() - (SELECT deleted_retention FROM app.installation)
                   ORDER BY k.id
                   LIMIT least(at_most, 10000));
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END
$$;

COMMENT ON FUNCTION quarry.prune_api_keys(tenant uuid, at_most integer) IS 'Deletes for good the bound tenant''s keys that were revoked or expired longer ago than the retention.';

CREATE FUNCTION quarry.prune_deleted(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'quarry', 'pg_temp'
    AS $_$
DECLARE
    ended timestamptz := (SELECT now() - deleted_retention FROM app.installation WHERE tenant = app.current_tenant());
    each  record;
    done  integer;
    total integer := 0;
    wrong text;
BEGIN
    FOR each IN
        SELECT c.relname AS name,
               coalesce(string_agg(format(' AND NOT EXISTS (SELECT FROM %s AS k WHERE %s)', f.referring, f.matching), '')
                        FILTER (WHERE f.referring IS NOT NULL), '') AS unreferred
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'deleted_at' AND NOT a.attisdropped
          LEFT JOIN LATERAL (
                SELECT k.conrelid::regclass AS referring,
                       string_agg(format('k.%I = r.%I', b.attname, t.attname), ' AND ') AS matching
                  FROM pg_catalog.pg_constraint AS k
                 CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS u (from_column, to_column)
                  JOIN pg_catalog.pg_attribute AS b ON b.attrelid = k.conrelid AND b.attnum = u.from_column
                  JOIN pg_catalog.pg_attribute AS t ON t.attrelid = k.confrelid AND t.attnum = u.to_column
                 WHERE k.confrelid = c.oid
                   AND k.contype = 'f'
                   AND k.confdeltype IN ('a', 'r')
                 GROUP BY k.oid, k.conrelid) AS f ON true
         WHERE c.relnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = current_schema())
           AND c.relkind IN ('r', 'p')
         GROUP BY c.relname
         ORDER BY c.relname
    LOOP
        BEGIN
            EXECUTE format('DELETE FROM %1$I WHERE tenant_id = $1 AND id IN (SELECT r.id FROM %1$I AS r'
                           ' WHERE r.tenant_id = $1 AND r.deleted_at < $2%2$s ORDER BY r.deleted_at LIMIT least($3, 10000))',
                           each.name, each.unreferred)
              USING tenant, ended, at_most;
            GET DIAGNOSTICS done = ROW_COUNT;
            total := total + done;
        EXCEPTION
            WHEN serialization_failure OR deadlock_detected THEN
                RAISE;
            WHEN OTHERS THEN
                wrong := concat_ws('; ', wrong, each.name || ': ' || SQLERRM);
        END;
    END LOOP;
    -- When nothing is left in the other tables, the purge hears of the one that keeps its rows.
    IF total = 0 AND wrong IS NOT NULL THEN
        RAISE EXCEPTION 'deleted rows can''t be forgotten in %', wrong;
    END IF;
    RETURN total;
END
$_$;

COMMENT ON FUNCTION quarry.prune_deleted(tenant uuid, at_most integer) IS 'Deletes for good what the bound tenant deleted longer ago than the retention and nothing refers to.';

CREATE FUNCTION quarry.prune_sign_in_failures(tenant uuid, at_most integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'quarry', 'pg_temp'
    AS $$
DECLARE
    done integer;
BEGIN
    DELETE FROM sign_in_failures
     WHERE tenant_id = tenant
       AND tenant = app.current_tenant()
       AND id IN (SELECT f.id
                    FROM sign_in_failures AS f
                   WHERE f.tenant_id = tenant
                     AND f.created_at < now() - (SELECT log_retention FROM app.installation)
                   ORDER BY f.created_at
                   LIMIT least(at_most, 10000));
    GET DIAGNOSTICS done = ROW_COUNT;
    RETURN done;
END
$$;

COMMENT ON FUNCTION quarry.prune_sign_in_failures(tenant uuid, at_most integer) IS 'Deletes the bound tenant''s failed sign-ins beyond the audit''s retention.';

CREATE FUNCTION quarry.publish_content() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO ''
    AS $$
BEGIN
    IF current_user = 'quarry_owner' THEN
        RETURN NEW;
    END IF;
    NEW.published_at := CASE WHEN NEW.status <> 'published' THEN NULL
                             WHEN TG_OP = 'UPDATE' AND OLD.status = 'published' THEN OLD.published_at
                             ELSE now() END;
    RETURN NEW;
END
$$;

COMMENT ON FUNCTION quarry.publish_content() IS 'Keeps published_at, which no caller can set.';

CREATE FUNCTION quarry.record_api_keys() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('api_keys', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('api_keys', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.role IS DISTINCT FROM o.role THEN 'role' END,
                CASE WHEN n.key_hash IS DISTINCT FROM o.key_hash THEN 'key_hash' END,
                CASE WHEN n.key_mac IS DISTINCT FROM o.key_mac THEN 'key_mac' END,
                CASE WHEN n.created_by IS DISTINCT FROM o.created_by THEN 'created_by' END,
                CASE WHEN n.expires_at IS DISTINCT FROM o.expires_at THEN 'expires_at' END,
                CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('api_keys', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_api_keys() IS 'Writes changes of api_keys to the log.';

CREATE FUNCTION quarry.record_brand_niches() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('brand_niches', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('brand_niches', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.brand_id IS DISTINCT FROM o.brand_id THEN 'brand_id' END,
                CASE WHEN n.niche_id IS DISTINCT FROM o.niche_id THEN 'niche_id' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('brand_niches', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_brand_niches() IS 'Writes changes of brand_niches to the log.';

CREATE FUNCTION quarry.record_brands() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('brands', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('brands', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.brand_name IS DISTINCT FROM o.brand_name THEN 'brand_name' END,
                CASE WHEN n.username IS DISTINCT FROM o.username THEN 'username' END,
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
                CASE WHEN n.email_index IS DISTINCT FROM o.email_index THEN 'email_index' END,
                CASE WHEN n.phone IS DISTINCT FROM o.phone THEN 'phone' END,
                CASE WHEN n.phone_index IS DISTINCT FROM o.phone_index THEN 'phone_index' END,
                CASE WHEN n.legal_entity_name IS DISTINCT FROM o.legal_entity_name THEN 'legal_entity_name' END,
                CASE WHEN n.company_type IS DISTINCT FROM o.company_type THEN 'company_type' END,
                CASE WHEN n.brand_email IS DISTINCT FROM o.brand_email THEN 'brand_email' END,
                CASE WHEN n.poc_name IS DISTINCT FROM o.poc_name THEN 'poc_name' END,
                CASE WHEN n.poc_designation IS DISTINCT FROM o.poc_designation THEN 'poc_designation' END,
                CASE WHEN n.poc_email IS DISTINCT FROM o.poc_email THEN 'poc_email' END,
                CASE WHEN n.poc_contact_number IS DISTINCT FROM o.poc_contact_number THEN 'poc_contact_number' END,
                CASE WHEN n.bio IS DISTINCT FROM o.bio THEN 'bio' END,
                CASE WHEN n.profile_image IS DISTINCT FROM o.profile_image THEN 'profile_image' END,
                CASE WHEN n.incorporation_document IS DISTINCT FROM o.incorporation_document THEN 'incorporation_document' END,
                CASE WHEN n.gst_document IS DISTINCT FROM o.gst_document THEN 'gst_document' END,
                CASE WHEN n.pan_document IS DISTINCT FROM o.pan_document THEN 'pan_document' END,
                CASE WHEN n.is_phone_verified IS DISTINCT FROM o.is_phone_verified THEN 'is_phone_verified' END,
                CASE WHEN n.is_profile_completed IS DISTINCT FROM o.is_profile_completed THEN 'is_profile_completed' END,
                CASE WHEN n.is_active IS DISTINCT FROM o.is_active THEN 'is_active' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('brands', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_brands() IS 'Writes changes of brands to the log.';

CREATE FUNCTION quarry.record_campaign_influencers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('campaign_influencers', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('campaign_influencers', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.campaign_id IS DISTINCT FROM o.campaign_id THEN 'campaign_id' END,
                CASE WHEN n.influencer_id IS DISTINCT FROM o.influencer_id THEN 'influencer_id' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.fee_minor IS DISTINCT FROM o.fee_minor THEN 'fee_minor' END,
                CASE WHEN n.currency IS DISTINCT FROM o.currency THEN 'currency' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('campaign_influencers', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_campaign_influencers() IS 'Writes changes of campaign_influencers to the log.';

CREATE FUNCTION quarry.record_campaigns() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('campaigns', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('campaigns', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.description IS DISTINCT FROM o.description THEN 'description' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.owner_id IS DISTINCT FROM o.owner_id THEN 'owner_id' END,
                CASE WHEN n.brand_id IS DISTINCT FROM o.brand_id THEN 'brand_id' END,
                CASE WHEN n.budget_minor IS DISTINCT FROM o.budget_minor THEN 'budget_minor' END,
                CASE WHEN n.currency IS DISTINCT FROM o.currency THEN 'currency' END,
                CASE WHEN n.starts_on IS DISTINCT FROM o.starts_on THEN 'starts_on' END,
                CASE WHEN n.ends_on IS DISTINCT FROM o.ends_on THEN 'ends_on' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('campaigns', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_campaigns() IS 'Writes changes of campaigns to the log.';

CREATE FUNCTION quarry.record_contents() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('contents', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('contents', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.campaign_id IS DISTINCT FROM o.campaign_id THEN 'campaign_id' END,
                CASE WHEN n.kind IS DISTINCT FROM o.kind THEN 'kind' END,
                CASE WHEN n.title IS DISTINCT FROM o.title THEN 'title' END,
                CASE WHEN n.body IS DISTINCT FROM o.body THEN 'body' END,
                CASE WHEN n.url IS DISTINCT FROM o.url THEN 'url' END,
                CASE WHEN n.status IS DISTINCT FROM o.status THEN 'status' END,
                CASE WHEN n.published_at IS DISTINCT FROM o.published_at THEN 'published_at' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('contents', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_contents() IS 'Writes changes of contents to the log.';

CREATE FUNCTION quarry.record_influencer_niches() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('influencer_niches', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('influencer_niches', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.influencer_id IS DISTINCT FROM o.influencer_id THEN 'influencer_id' END,
                CASE WHEN n.niche_id IS DISTINCT FROM o.niche_id THEN 'niche_id' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('influencer_niches', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_influencer_niches() IS 'Writes changes of influencer_niches to the log.';

CREATE FUNCTION quarry.record_influencers() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('influencers', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('influencers', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.username IS DISTINCT FROM o.username THEN 'username' END,
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
                CASE WHEN n.email_index IS DISTINCT FROM o.email_index THEN 'email_index' END,
                CASE WHEN n.phone IS DISTINCT FROM o.phone THEN 'phone' END,
                CASE WHEN n.phone_index IS DISTINCT FROM o.phone_index THEN 'phone_index' END,
                CASE WHEN n.date_of_birth IS DISTINCT FROM o.date_of_birth THEN 'date_of_birth' END,
                CASE WHEN n.gender IS DISTINCT FROM o.gender THEN 'gender' END,
                CASE WHEN n.bio IS DISTINCT FROM o.bio THEN 'bio' END,
                CASE WHEN n.profile_image IS DISTINCT FROM o.profile_image THEN 'profile_image' END,
                CASE WHEN n.is_phone_verified IS DISTINCT FROM o.is_phone_verified THEN 'is_phone_verified' END,
                CASE WHEN n.is_active IS DISTINCT FROM o.is_active THEN 'is_active' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('influencers', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_influencers() IS 'Writes changes of influencers to the log.';

CREATE FUNCTION quarry.record_sessions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('sessions', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('sessions', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.user_id IS DISTINCT FROM o.user_id THEN 'user_id' END,
                CASE WHEN n.token_hash IS DISTINCT FROM o.token_hash THEN 'token_hash' END,
                CASE WHEN n.token_mac IS DISTINCT FROM o.token_mac THEN 'token_mac' END,
                CASE WHEN n.ip IS DISTINCT FROM o.ip THEN 'ip' END,
                CASE WHEN n.user_agent IS DISTINCT FROM o.user_agent THEN 'user_agent' END,
                CASE WHEN n.expires_at IS DISTINCT FROM o.expires_at THEN 'expires_at' END,
                CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END,
                CASE WHEN n.expired_at IS DISTINCT FROM o.expired_at THEN 'expired_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('sessions', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_sessions() IS 'Writes changes of sessions to the log.';

CREATE FUNCTION quarry.record_users() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO ''
    SET enable_nestloop TO 'off'
    AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('users', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('users', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
                CASE WHEN n.email_index IS DISTINCT FROM o.email_index THEN 'email_index' END,
                CASE WHEN n.display_name IS DISTINCT FROM o.display_name THEN 'display_name' END,
                CASE WHEN n.password_hash IS DISTINCT FROM o.password_hash THEN 'password_hash' END,
                CASE WHEN n.role IS DISTINCT FROM o.role THEN 'role' END,
                CASE WHEN n.is_active IS DISTINCT FROM o.is_active THEN 'is_active' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('users', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION quarry.record_users() IS 'Writes changes of users to the log.';

CREATE FUNCTION quarry.tenants_to_purge(previous uuid, at_most integer, idle interval) RETURNS TABLE(tenant_id uuid, is_due boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'quarry', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
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
$_$;

COMMENT ON FUNCTION quarry.tenants_to_purge(previous uuid, at_most integer, idle interval) IS 'The ids of some tenants, and whether each has rows that have ended long enough ago; nothing else of them.';

CREATE FUNCTION quarry.tenants_to_seal(previous uuid, at_most integer) RETURNS TABLE(tenant_id uuid, waits boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'quarry', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $_$
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
$_$;

COMMENT ON FUNCTION quarry.tenants_to_seal(previous uuid, at_most integer) IS 'The ids of some tenants, and whether each has values that wait to be sealed; nothing else of them.';

CREATE TABLE app.changes (
    tenant_id uuid NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    ordinal integer NOT NULL,
    table_name text NOT NULL,
    operation text NOT NULL,
    row_id uuid NOT NULL,
    columns text[],
    CONSTRAINT changes_operation_check CHECK ((operation = ANY (ARRAY['insert'::text, 'update'::text, 'delete'::text])))
);

ALTER TABLE ONLY app.changes FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE app.changes IS 'One row per changed row: table, operation, id, and for updates the names of the changed columns. Never a value.';

COMMENT ON CONSTRAINT changes_operation_check ON app.changes IS 'What can happen to a row.';

CREATE TABLE app.commits (
    tenant_id uuid NOT NULL,
    number bigint NOT NULL,
    xid xid8 NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor_id uuid,
    session_id uuid,
    ip inet,
    request_id text
);

ALTER TABLE ONLY app.commits FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE app.commits IS 'One row per tenant and transaction that changed something: its number, and who did it from where.';

CREATE TABLE app.cursors (
    tenant_id uuid NOT NULL,
    consumer text NOT NULL COLLATE pg_catalog."C",
    epoch integer NOT NULL,
    number bigint NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    cut_off_at timestamp with time zone,
    moved_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT cursors_consumer_check CHECK ((consumer ~ '^[a-z][a-z0-9_]{0,62}$'::text)),
    CONSTRAINT cursors_failures_check CHECK ((failures >= 0)),
    CONSTRAINT cursors_number_check CHECK ((number >= 0))
);

ALTER TABLE ONLY app.cursors FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE app.cursors IS 'How far each consumer has read each tenant''s stream. A failing one is asked again at retry_at; one that was cut off has missed something.';

COMMENT ON CONSTRAINT cursors_consumer_check ON app.cursors IS 'A name as in code.';

COMMENT ON CONSTRAINT cursors_failures_check ON app.cursors IS 'A count.';

COMMENT ON CONSTRAINT cursors_number_check ON app.cursors IS 'Numbers count from 1; 0 is before all of them.';

CREATE TABLE app.heads (
    tenant_id uuid NOT NULL,
    head bigint DEFAULT 0 NOT NULL,
    floor bigint DEFAULT 0 NOT NULL,
    CONSTRAINT heads_floor_check CHECK (((floor >= 0) AND (floor <= head)))
)
WITH (fillfactor='40');

ALTER TABLE ONLY app.heads FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE app.heads IS 'Per tenant the last number given (head) and the last one pruned (floor). Room on each page keeps the counter''s updates in place.';

COMMENT ON CONSTRAINT heads_floor_check ON app.heads IS 'Nothing is pruned that has not happened.';

CREATE TABLE app.installation (
    only_row boolean DEFAULT true NOT NULL,
    epoch integer DEFAULT 1 NOT NULL,
    system_identifier bigint NOT NULL,
    timeline integer NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    keys_check bytea,
    log_retention interval DEFAULT '1 year'::interval NOT NULL,
    deleted_retention interval DEFAULT '90 days'::interval NOT NULL,
    shared_number bigint DEFAULT 0 NOT NULL,
    database_oid oid NOT NULL,
    is_read_only boolean DEFAULT false NOT NULL,
    purged_at timestamp with time zone,
    purge_failures integer DEFAULT 0 NOT NULL,
    CONSTRAINT installation_deleted_retention_check CHECK ((deleted_retention >= '1 day'::interval)),
    CONSTRAINT installation_epoch_check CHECK ((epoch > 0)),
    CONSTRAINT installation_keys_check_check CHECK ((octet_length(keys_check) = 32)),
    CONSTRAINT installation_log_retention_check CHECK ((log_retention >= '1 day'::interval)),
    CONSTRAINT installation_only_row_check CHECK (only_row)
);

COMMENT ON TABLE app.installation IS 'Which life of the database this is: numbers of another epoch mean nothing here.';

COMMENT ON COLUMN app.installation.is_read_only IS 'Maintenance: no commit gets a number, so nothing is written. quarry maintenance.';

COMMENT ON COLUMN app.installation.purged_at IS 'When an instance last began to purge; app.claim_purge().';

COMMENT ON COLUMN app.installation.purge_failures IS 'Tenants of which the last purge could not forget everything; app.note_purge().';

COMMENT ON CONSTRAINT installation_deleted_retention_check ON app.installation IS 'What was deleted can be restored for a while.';

COMMENT ON CONSTRAINT installation_epoch_check ON app.installation IS 'Epochs count from 1.';

COMMENT ON CONSTRAINT installation_keys_check_check ON app.installation IS 'HMAC made with the key of the blind index.';

COMMENT ON CONSTRAINT installation_log_retention_check ON app.installation IS 'The audit is kept for a while, whoever asks.';

COMMENT ON CONSTRAINT installation_only_row_check ON app.installation IS 'There is one row.';

CREATE TABLE app.niches (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    icon text,
    description text,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT niches_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))
);

COMMENT ON TABLE app.niches IS 'Shared reference data: every tenant reads it, the platform writes it.';

COMMENT ON CONSTRAINT niches_name_check ON app.niches IS 'Names have 1 to 200 characters.';

CREATE TABLE app.schemas (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    name text NOT NULL COLLATE pg_catalog."C",
    CONSTRAINT schemas_name_check CHECK (((name ~ '^[a-z_][a-z0-9_]{0,62}$'::text) AND (name !~ '^pg_'::text) AND (name <> ALL (ARRAY['app'::text, 'public'::text, 'information_schema'::text]))))
);

ALTER TABLE ONLY app.schemas FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE app.schemas IS 'Tenants whose rows are in a schema of their own, instead of the one that the others share.';

COMMENT ON COLUMN app.schemas.name IS 'The schema. It stays what it is: rows do not move by a change of it.';

COMMENT ON CONSTRAINT schemas_name_check ON app.schemas IS 'A plain name, and of no schema that is somebody else''s.';

CREATE TABLE app.tenants (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    domain text NOT NULL COLLATE pg_catalog."C",
    status text DEFAULT 'active'::text NOT NULL,
    plan text DEFAULT 'free'::text NOT NULL,
    features jsonb DEFAULT '{}'::jsonb NOT NULL,
    configuration jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT tenants_configuration_check CHECK (((jsonb_typeof(configuration) = 'object'::text) AND (octet_length((configuration)::text) <= 65536))),
    CONSTRAINT tenants_domain_check CHECK ((domain ~ '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$'::text)),
    CONSTRAINT tenants_features_check CHECK (((jsonb_typeof(features) = 'object'::text) AND (octet_length((features)::text) <= 65536))),
    CONSTRAINT tenants_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
    CONSTRAINT tenants_plan_check CHECK ((plan = ANY (ARRAY['free'::text, 'pro'::text, 'enterprise'::text]))),
    CONSTRAINT tenants_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text, 'archived'::text])))
);

ALTER TABLE ONLY app.tenants FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE app.tenants IS 'Agencies that use the service; every tenant row belongs to one of them.';

COMMENT ON CONSTRAINT tenants_configuration_check ON app.tenants IS 'The configuration is a JSON object of at most 64 KiB.';

COMMENT ON CONSTRAINT tenants_domain_check ON app.tenants IS 'A domain is a lower-case host name.';

COMMENT ON CONSTRAINT tenants_features_check ON app.tenants IS 'Features are a JSON object of at most 64 KiB.';

COMMENT ON CONSTRAINT tenants_name_check ON app.tenants IS 'Names have 1 to 200 characters.';

COMMENT ON CONSTRAINT tenants_plan_check ON app.tenants IS 'The plans that are sold.';

COMMENT ON CONSTRAINT tenants_status_check ON app.tenants IS 'Only active tenants are served.';

CREATE TABLE quarry.api_keys (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    key_hash bytea NOT NULL,
    created_by uuid NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    key_mac bytea,
    CONSTRAINT api_keys_key_hash_check CHECK ((octet_length(key_hash) = 32)),
    CONSTRAINT api_keys_key_mac_check CHECK ((octet_length(key_mac) = 32)),
    CONSTRAINT api_keys_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
    CONSTRAINT api_keys_role_check CHECK ((role = ANY (ARRAY['admin'::text, 'member'::text, 'viewer'::text])))
);

ALTER TABLE ONLY quarry.api_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.api_keys IS 'Keys for programs: shown once, stored hashed, with a role of their own.';

COMMENT ON COLUMN quarry.api_keys.key_mac IS 'HMAC-SHA-256 of tenant, key hash, maker and role; null where an earlier release has made the key.';

COMMENT ON CONSTRAINT api_keys_key_hash_check ON quarry.api_keys IS 'SHA-256 of the secret.';

COMMENT ON CONSTRAINT api_keys_key_mac_check ON quarry.api_keys IS 'An HMAC-SHA-256 has 32 bytes.';

COMMENT ON CONSTRAINT api_keys_name_check ON quarry.api_keys IS 'Names have 1 to 200 characters.';

COMMENT ON CONSTRAINT api_keys_role_check ON quarry.api_keys IS 'A program is never an owner.';

CREATE TABLE quarry.brand_niches (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    brand_id uuid NOT NULL,
    niche_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL
);

ALTER TABLE ONLY quarry.brand_niches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.brand_niches IS 'Which niches a brand works in.';

CREATE TABLE quarry.brands (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    brand_name text NOT NULL,
    username text NOT NULL COLLATE pg_catalog."C",
    email bytea NOT NULL,
    email_index bytea NOT NULL,
    phone bytea NOT NULL,
    phone_index bytea NOT NULL,
    legal_entity_name text,
    company_type text,
    brand_email bytea,
    poc_name text,
    poc_designation text,
    poc_email bytea,
    poc_contact_number bytea,
    bio text,
    profile_image text,
    incorporation_document bytea,
    gst_document bytea,
    pan_document bytea,
    is_phone_verified boolean DEFAULT false NOT NULL,
    is_profile_completed boolean DEFAULT false NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT brands_bio_check CHECK ((char_length(bio) <= 10000)),
    CONSTRAINT brands_brand_email_check CHECK (app.is_sealed(brand_email)),
    CONSTRAINT brands_brand_name_check CHECK (((char_length(brand_name) >= 1) AND (char_length(brand_name) <= 200))),
    CONSTRAINT brands_company_type_check CHECK ((company_type = ANY (ARRAY['private_limited'::text, 'public_limited'::text, 'llp'::text, 'partnership'::text, 'sole_proprietorship'::text, 'other'::text]))),
    CONSTRAINT brands_email_check CHECK ((app.is_sealed(email) AND (octet_length(email_index) = 32))),
    CONSTRAINT brands_gst_document_check CHECK (app.is_sealed(gst_document)),
    CONSTRAINT brands_incorporation_document_check CHECK (app.is_sealed(incorporation_document)),
    CONSTRAINT brands_legal_entity_name_check CHECK ((char_length(legal_entity_name) <= 200)),
    CONSTRAINT brands_pan_document_check CHECK (app.is_sealed(pan_document)),
    CONSTRAINT brands_phone_check CHECK ((app.is_sealed(phone) AND (octet_length(phone_index) = 32))),
    CONSTRAINT brands_poc_contact_number_check CHECK (app.is_sealed(poc_contact_number)),
    CONSTRAINT brands_poc_designation_check CHECK ((char_length(poc_designation) <= 200)),
    CONSTRAINT brands_poc_email_check CHECK (app.is_sealed(poc_email)),
    CONSTRAINT brands_poc_name_check CHECK ((char_length(poc_name) <= 200)),
    CONSTRAINT brands_profile_image_check CHECK ((char_length(profile_image) <= 2000)),
    CONSTRAINT brands_username_check CHECK ((username ~ '^[a-z0-9._]{3,50}$'::text))
);

ALTER TABLE ONLY quarry.brands FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.brands IS 'Profiles of brands; personal data is encrypted by the service, *_index is the HMAC that finds it.';

COMMENT ON CONSTRAINT brands_bio_check ON quarry.brands IS 'At most 10000 characters.';

COMMENT ON CONSTRAINT brands_brand_email_check ON quarry.brands IS 'Personal data has the form of sealed values.';

COMMENT ON CONSTRAINT brands_brand_name_check ON quarry.brands IS 'Names have 1 to 200 characters.';

COMMENT ON CONSTRAINT brands_company_type_check ON quarry.brands IS 'The values of the API.';

COMMENT ON CONSTRAINT brands_email_check ON quarry.brands IS 'The sealed email and the 32 byte HMAC that finds it come together.';

COMMENT ON CONSTRAINT brands_gst_document_check ON quarry.brands IS 'Personal data has the form of sealed values.';

COMMENT ON CONSTRAINT brands_incorporation_document_check ON quarry.brands IS 'Personal data has the form of sealed values.';

COMMENT ON CONSTRAINT brands_legal_entity_name_check ON quarry.brands IS 'At most 200 characters.';

COMMENT ON CONSTRAINT brands_pan_document_check ON quarry.brands IS 'Personal data has the form of sealed values.';

COMMENT ON CONSTRAINT brands_phone_check ON quarry.brands IS 'The sealed phone and the 32 byte HMAC that finds it come together.';

COMMENT ON CONSTRAINT brands_poc_contact_number_check ON quarry.brands IS 'Personal data has the form of sealed values.';

COMMENT ON CONSTRAINT brands_poc_designation_check ON quarry.brands IS 'At most 200 characters.';

COMMENT ON CONSTRAINT brands_poc_email_check ON quarry.brands IS 'Personal data has the form of sealed values.';

COMMENT ON CONSTRAINT brands_poc_name_check ON quarry.brands IS 'At most 200 characters.';

COMMENT ON CONSTRAINT brands_profile_image_check ON quarry.brands IS 'At most 2000 characters.';

COMMENT ON CONSTRAINT brands_username_check ON quarry.brands IS 'Lower-case handle of 3 to 50 characters.';

CREATE TABLE quarry.campaign_influencers (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    campaign_id uuid NOT NULL,
    influencer_id uuid NOT NULL,
    status text DEFAULT 'invited'::text NOT NULL,
    fee_minor bigint,
    currency text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT campaign_influencers_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT campaign_influencers_fee_minor_check CHECK (((fee_minor >= 0) AND (fee_minor <= '9007199254740991'::bigint))),
    CONSTRAINT campaign_influencers_status_check CHECK ((status = ANY (ARRAY['invited'::text, 'accepted'::text, 'declined'::text, 'removed'::text])))
);

ALTER TABLE ONLY quarry.campaign_influencers FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.campaign_influencers IS 'Influencers on a campaign, and for what fee.';

COMMENT ON CONSTRAINT campaign_influencers_currency_check ON quarry.campaign_influencers IS 'ISO 4217 code.';

COMMENT ON CONSTRAINT campaign_influencers_fee_minor_check ON quarry.campaign_influencers IS 'Minor units that every JSON reader can hold (below 2^53).';

COMMENT ON CONSTRAINT campaign_influencers_status_check ON quarry.campaign_influencers IS 'The answers to an invitation.';

CREATE TABLE quarry.campaigns (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    search_name text NOT NULL,
    description text,
    status text DEFAULT 'draft'::text NOT NULL,
    owner_id uuid NOT NULL,
    brand_id uuid,
    budget_minor bigint DEFAULT 0 NOT NULL,
    currency text DEFAULT 'USD'::text NOT NULL,
    starts_on date,
    ends_on date,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT campaigns_budget_minor_check CHECK (((budget_minor >= 0) AND (budget_minor <= '9007199254740991'::bigint))),
    CONSTRAINT campaigns_currency_check CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT campaigns_description_check CHECK ((char_length(description) <= 10000)),
    CONSTRAINT campaigns_ends_on_check CHECK ((ends_on >= starts_on)),
    CONSTRAINT campaigns_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
    CONSTRAINT campaigns_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'active'::text, 'paused'::text, 'completed'::text, 'archived'::text])))
);

ALTER TABLE ONLY quarry.campaigns FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.campaigns IS 'Marketing campaigns.';

COMMENT ON CONSTRAINT campaigns_budget_minor_check ON quarry.campaigns IS 'Minor units that every JSON reader can hold (below 2^53).';

COMMENT ON CONSTRAINT campaigns_currency_check ON quarry.campaigns IS 'ISO 4217 code.';

COMMENT ON CONSTRAINT campaigns_description_check ON quarry.campaigns IS 'At most 10000 characters.';

COMMENT ON CONSTRAINT campaigns_ends_on_check ON quarry.campaigns IS 'A campaign does not end before it starts.';

COMMENT ON CONSTRAINT campaigns_name_check ON quarry.campaigns IS 'Names have 1 to 200 characters.';

COMMENT ON CONSTRAINT campaigns_status_check ON quarry.campaigns IS 'The life of a campaign.';

CREATE TABLE quarry.change_tickets (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    token_hash bytea NOT NULL,
    bearer_kind text NOT NULL,
    bearer_hash bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    token_mac bytea,
    CONSTRAINT change_tickets_bearer_hash_check CHECK ((octet_length(bearer_hash) = 32)),
    CONSTRAINT change_tickets_bearer_kind_check CHECK ((bearer_kind = ANY (ARRAY['session'::text, 'key'::text]))),
    CONSTRAINT change_tickets_expires_at_check CHECK ((expires_at > created_at)),
    CONSTRAINT change_tickets_token_hash_check CHECK ((octet_length(token_hash) = 32)),
    CONSTRAINT change_tickets_token_mac_check CHECK ((octet_length(token_mac) = 32))
);

ALTER TABLE ONLY quarry.change_tickets FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.change_tickets IS 'Tickets that open one change stream each, for browsers whose EventSource can''t send a header.';

COMMENT ON COLUMN quarry.change_tickets.token_mac IS 'HMAC-SHA-256 of tenant, token hash, bearer''s kind and hash; null where an earlier release has issued the ticket.';

COMMENT ON CONSTRAINT change_tickets_bearer_hash_check ON quarry.change_tickets IS 'The hash that finds the session or key, which is asked whether it still holds.';

COMMENT ON CONSTRAINT change_tickets_bearer_kind_check ON quarry.change_tickets IS 'Whom it stands for: a session or a key.';

COMMENT ON CONSTRAINT change_tickets_expires_at_check ON quarry.change_tickets IS 'A ticket lives for a minute.';

COMMENT ON CONSTRAINT change_tickets_token_hash_check ON quarry.change_tickets IS 'SHA-256 of the secret.';

COMMENT ON CONSTRAINT change_tickets_token_mac_check ON quarry.change_tickets IS 'An HMAC-SHA-256 has 32 bytes.';

CREATE TABLE quarry.contents (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    campaign_id uuid NOT NULL,
    kind text NOT NULL,
    title text NOT NULL,
    body text,
    url text,
    status text DEFAULT 'draft'::text NOT NULL,
    published_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT contents_body_check CHECK ((char_length(body) <= 10000)),
    CONSTRAINT contents_kind_check CHECK ((kind = ANY (ARRAY['post'::text, 'reel'::text, 'story'::text, 'video'::text, 'article'::text]))),
    CONSTRAINT contents_status_check CHECK ((status = ANY (ARRAY['draft'::text, 'submitted'::text, 'approved'::text, 'published'::text]))),
    CONSTRAINT contents_title_check CHECK (((char_length(title) >= 1) AND (char_length(title) <= 200))),
    CONSTRAINT contents_url_check CHECK ((char_length(url) <= 2000))
);

ALTER TABLE ONLY quarry.contents FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.contents IS 'Pieces of content made for a campaign.';

COMMENT ON CONSTRAINT contents_body_check ON quarry.contents IS 'At most 10000 characters.';

COMMENT ON CONSTRAINT contents_kind_check ON quarry.contents IS 'The kinds of the API.';

COMMENT ON CONSTRAINT contents_status_check ON quarry.contents IS 'The life of a piece of content.';

COMMENT ON CONSTRAINT contents_title_check ON quarry.contents IS 'Titles have 1 to 200 characters.';

COMMENT ON CONSTRAINT contents_url_check ON quarry.contents IS 'At most 2000 characters.';

CREATE TABLE quarry.idempotency_keys (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    caller_id uuid NOT NULL,
    key text NOT NULL COLLATE pg_catalog."C",
    fingerprint bytea NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    answer bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    CONSTRAINT idempotency_keys_answer_check CHECK (app.is_sealed(answer)),
    CONSTRAINT idempotency_keys_expires_at_check CHECK ((expires_at > created_at)),
    CONSTRAINT idempotency_keys_fingerprint_check CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT idempotency_keys_key_check CHECK (((char_length(key) >= 1) AND (char_length(key) <= 200)))
);

ALTER TABLE ONLY quarry.idempotency_keys FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.idempotency_keys IS 'Answers to repeat, sealed like personal data; written in the transaction of the effect that they tell of.';

COMMENT ON CONSTRAINT idempotency_keys_answer_check ON quarry.idempotency_keys IS 'Answers hold personal data, so they are sealed.';

COMMENT ON CONSTRAINT idempotency_keys_expires_at_check ON quarry.idempotency_keys IS 'An answer is kept for a while.';

COMMENT ON CONSTRAINT idempotency_keys_fingerprint_check ON quarry.idempotency_keys IS 'HMAC of method, address, precondition and body.';

COMMENT ON CONSTRAINT idempotency_keys_key_check ON quarry.idempotency_keys IS '1 to 200 characters.';

CREATE TABLE quarry.influencer_niches (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    influencer_id uuid NOT NULL,
    niche_id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL
);

ALTER TABLE ONLY quarry.influencer_niches FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.influencer_niches IS 'Which niches an influencer works in.';

CREATE TABLE quarry.influencers (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    name text NOT NULL,
    search_name text NOT NULL,
    username text NOT NULL COLLATE pg_catalog."C",
    email bytea NOT NULL,
    email_index bytea NOT NULL,
    phone bytea NOT NULL,
    phone_index bytea NOT NULL,
    date_of_birth date,
    gender text,
    bio text,
    profile_image text,
    is_phone_verified boolean DEFAULT false NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    CONSTRAINT influencers_bio_check CHECK ((char_length(bio) <= 10000)),
    CONSTRAINT influencers_email_check CHECK ((app.is_sealed(email) AND (octet_length(email_index) = 32))),
    CONSTRAINT influencers_gender_check CHECK ((gender = ANY (ARRAY['female'::text, 'male'::text, 'other'::text, 'undisclosed'::text]))),
    CONSTRAINT influencers_name_check CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200))),
    CONSTRAINT influencers_phone_check CHECK ((app.is_sealed(phone) AND (octet_length(phone_index) = 32))),
    CONSTRAINT influencers_profile_image_check CHECK ((char_length(profile_image) <= 2000)),
    CONSTRAINT influencers_username_check CHECK ((username ~ '^[a-z0-9._]{3,50}$'::text))
);

ALTER TABLE ONLY quarry.influencers FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.influencers IS 'Profiles of influencers; personal data is encrypted by the service, *_index is the HMAC that finds it.';

COMMENT ON CONSTRAINT influencers_bio_check ON quarry.influencers IS 'At most 10000 characters.';

COMMENT ON CONSTRAINT influencers_email_check ON quarry.influencers IS 'The sealed email and the 32 byte HMAC that finds it come together.';

COMMENT ON CONSTRAINT influencers_gender_check ON quarry.influencers IS 'The values of the API.';

COMMENT ON CONSTRAINT influencers_name_check ON quarry.influencers IS 'Names have 1 to 200 characters.';

COMMENT ON CONSTRAINT influencers_phone_check ON quarry.influencers IS 'The sealed phone and the 32 byte HMAC that finds it come together.';

COMMENT ON CONSTRAINT influencers_profile_image_check ON quarry.influencers IS 'At most 2000 characters.';

COMMENT ON CONSTRAINT influencers_username_check ON quarry.influencers IS 'Lower-case handle of 3 to 50 characters.';

CREATE TABLE quarry.otps (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    phone_index bytea NOT NULL,
    code_hash bytea NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT otps_attempts_check CHECK (((attempts >= 0) AND (attempts <= 10))),
    CONSTRAINT otps_code_hash_check CHECK ((octet_length(code_hash) = 32)),
    CONSTRAINT otps_expires_at_check CHECK ((expires_at > created_at)),
    CONSTRAINT otps_phone_index_check CHECK ((octet_length(phone_index) = 32))
);

ALTER TABLE ONLY quarry.otps FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.otps IS 'One-time codes for phone verification; code and phone are hashed.';

COMMENT ON CONSTRAINT otps_attempts_check ON quarry.otps IS 'Guessing ends here whatever the caller does.';

COMMENT ON CONSTRAINT otps_code_hash_check ON quarry.otps IS 'HMAC of the code.';

COMMENT ON CONSTRAINT otps_expires_at_check ON quarry.otps IS 'A code lives for a while.';

COMMENT ON CONSTRAINT otps_phone_index_check ON quarry.otps IS 'HMAC of the phone number.';

CREATE TABLE quarry.sessions (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    user_id uuid NOT NULL,
    token_hash bytea NOT NULL,
    ip inet,
    user_agent text,
    last_seen_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    expired_at timestamp with time zone,
    token_mac bytea,
    CONSTRAINT sessions_expires_at_check CHECK ((expires_at > created_at)),
    CONSTRAINT sessions_token_hash_check CHECK ((octet_length(token_hash) = 32)),
    CONSTRAINT sessions_token_mac_check CHECK ((octet_length(token_mac) = 32)),
    CONSTRAINT sessions_user_agent_check CHECK ((char_length(user_agent) <= 500))
);

ALTER TABLE ONLY quarry.sessions FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.sessions IS 'Sign-ins that have not been forgotten yet. The token itself is never stored.';

COMMENT ON COLUMN quarry.sessions.token_mac IS 'HMAC-SHA-256 of tenant, token hash and user; null where an earlier release has opened the session.';

COMMENT ON CONSTRAINT sessions_expires_at_check ON quarry.sessions IS 'A session lives for a while.';

COMMENT ON CONSTRAINT sessions_token_hash_check ON quarry.sessions IS 'SHA-256 of the secret.';

COMMENT ON CONSTRAINT sessions_token_mac_check ON quarry.sessions IS 'An HMAC-SHA-256 has 32 bytes.';

COMMENT ON CONSTRAINT sessions_user_agent_check ON quarry.sessions IS 'Longer ones are cut by the service.';

CREATE TABLE quarry.sign_in_failures (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email_hash bytea NOT NULL,
    user_id uuid,
    ip inet,
    user_agent text,
    request_id text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sign_in_failures_email_hash_check CHECK ((octet_length(email_hash) = 32)),
    CONSTRAINT sign_in_failures_user_agent_check CHECK ((char_length(user_agent) <= 500))
);

ALTER TABLE ONLY quarry.sign_in_failures FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.sign_in_failures IS 'Failed sign-ins, for the audit; the address tried is kept as a hash only.';

COMMENT ON CONSTRAINT sign_in_failures_email_hash_check ON quarry.sign_in_failures IS 'HMAC of the address.';

COMMENT ON CONSTRAINT sign_in_failures_user_agent_check ON quarry.sign_in_failures IS 'Longer ones are cut by the service.';

CREATE TABLE quarry.users (
    tenant_id uuid DEFAULT app.current_tenant() NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    email bytea NOT NULL,
    display_name text NOT NULL,
    password_hash text NOT NULL,
    role text DEFAULT 'member'::text NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    deleted_at timestamp with time zone,
    email_index bytea NOT NULL,
    CONSTRAINT users_display_name_check CHECK (((char_length(display_name) >= 1) AND (char_length(display_name) <= 200))),
    CONSTRAINT users_email_check CHECK ((app.is_sealed(email) AND (octet_length(email_index) = 32))),
    CONSTRAINT users_role_check CHECK ((role = ANY (ARRAY['owner'::text, 'admin'::text, 'member'::text, 'viewer'::text])))
);

ALTER TABLE ONLY quarry.users FORCE ROW LEVEL SECURITY;

COMMENT ON TABLE quarry.users IS 'People who sign in; address and password hash are sealed by the service, email_index is the HMAC that finds the address.';

COMMENT ON CONSTRAINT users_display_name_check ON quarry.users IS 'Names have 1 to 200 characters.';

COMMENT ON CONSTRAINT users_email_check ON quarry.users IS 'The sealed address and the 32 byte HMAC that finds it come together.';

COMMENT ON CONSTRAINT users_role_check ON quarry.users IS 'The roles of permissions.py.';

ALTER TABLE ONLY app.changes
    ADD CONSTRAINT changes_pkey PRIMARY KEY (tenant_id, xid, ordinal);

COMMENT ON CONSTRAINT changes_pkey ON app.changes IS 'The changes of one commit in order; the next ordinal in app.record_changes().';

ALTER TABLE ONLY app.commits
    ADD CONSTRAINT commits_pkey PRIMARY KEY (tenant_id, number);

COMMENT ON CONSTRAINT commits_pkey ON app.commits IS 'Reading a tenant''s stream in order.';

ALTER TABLE ONLY app.commits
    ADD CONSTRAINT commits_tenant_id_xid_key UNIQUE (tenant_id, xid);

COMMENT ON CONSTRAINT commits_tenant_id_xid_key ON app.commits IS 'A transaction has one number per tenant.';

ALTER TABLE ONLY app.cursors
    ADD CONSTRAINT cursors_pkey PRIMARY KEY (tenant_id, consumer);

COMMENT ON CONSTRAINT cursors_pkey ON app.cursors IS 'One place per consumer and tenant; cursors.take.';

ALTER TABLE ONLY app.heads
    ADD CONSTRAINT heads_pkey PRIMARY KEY (tenant_id);

COMMENT ON CONSTRAINT heads_pkey ON app.heads IS 'The counter that app.number_commit() raises; log.head.';

ALTER TABLE ONLY app.installation
    ADD CONSTRAINT installation_pkey PRIMARY KEY (only_row);

COMMENT ON CONSTRAINT installation_pkey ON app.installation IS 'log.installation reads the only row.';

ALTER TABLE ONLY app.niches
    ADD CONSTRAINT niches_name_key UNIQUE (name);

COMMENT ON CONSTRAINT niches_name_key ON app.niches IS 'A niche exists once; the seed''s upsert.';

ALTER TABLE ONLY app.niches
    ADD CONSTRAINT niches_pkey PRIMARY KEY (id);

COMMENT ON CONSTRAINT niches_pkey ON app.niches IS 'niches.find, and the associations of brands and influencers.';

ALTER TABLE ONLY app.schemas
    ADD CONSTRAINT schemas_name_key UNIQUE (name);

COMMENT ON CONSTRAINT schemas_name_key ON app.schemas IS 'A schema belongs to one tenant.';

ALTER TABLE ONLY app.schemas
    ADD CONSTRAINT schemas_pkey PRIMARY KEY (tenant_id);

COMMENT ON CONSTRAINT schemas_pkey ON app.schemas IS 'app.enter(): a tenant has one schema at most.';

ALTER TABLE ONLY app.tenants
    ADD CONSTRAINT tenants_domain_key UNIQUE (domain);

COMMENT ON CONSTRAINT tenants_domain_key ON app.tenants IS 'A host name leads to one tenant: app.find_tenant().';

ALTER TABLE ONLY app.tenants
    ADD CONSTRAINT tenants_pkey PRIMARY KEY (id);

COMMENT ON CONSTRAINT tenants_pkey ON app.tenants IS 'Referenced by every tenant table; tenants.current.';

ALTER TABLE ONLY quarry.api_keys
    ADD CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT api_keys_pkey ON quarry.api_keys IS 'Revoking a key.';

ALTER TABLE ONLY quarry.api_keys
    ADD CONSTRAINT api_keys_tenant_id_key_hash_key UNIQUE (tenant_id, key_hash);

COMMENT ON CONSTRAINT api_keys_tenant_id_key_hash_key ON quarry.api_keys IS 'A key names one row.';

ALTER TABLE ONLY quarry.brand_niches
    ADD CONSTRAINT brand_niches_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT brand_niches_pkey ON quarry.brand_niches IS 'Every tenant row has an id of its own.';

ALTER TABLE ONLY quarry.brand_niches
    ADD CONSTRAINT brand_niches_tenant_id_brand_id_niche_id_key UNIQUE (tenant_id, brand_id, niche_id);

COMMENT ON CONSTRAINT brand_niches_tenant_id_brand_id_niche_id_key ON quarry.brand_niches IS 'A niche is attached once; reading brand with niches.';

ALTER TABLE ONLY quarry.brands
    ADD CONSTRAINT brands_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT brands_pkey ON quarry.brands IS 'Finding a brand; referenced by campaigns and associations.';

ALTER TABLE ONLY quarry.campaign_influencers
    ADD CONSTRAINT campaign_influencers_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT campaign_influencers_pkey ON quarry.campaign_influencers IS 'Every tenant row has an id of its own.';

ALTER TABLE ONLY quarry.campaign_influencers
    ADD CONSTRAINT campaign_influencers_tenant_id_campaign_id_influencer_id_key UNIQUE (tenant_id, campaign_id, influencer_id);

COMMENT ON CONSTRAINT campaign_influencers_tenant_id_campaign_id_influencer_id_key ON quarry.campaign_influencers IS 'An influencer is on a campaign once; the upsert.';

ALTER TABLE ONLY quarry.campaigns
    ADD CONSTRAINT campaigns_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT campaigns_pkey ON quarry.campaigns IS 'campaigns.find; referenced by contents and influencers on campaigns.';

ALTER TABLE ONLY quarry.change_tickets
    ADD CONSTRAINT change_tickets_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT change_tickets_pkey ON quarry.change_tickets IS 'One row per ticket that has not been used yet.';

ALTER TABLE ONLY quarry.change_tickets
    ADD CONSTRAINT change_tickets_tenant_id_token_hash_key UNIQUE (tenant_id, token_hash);

COMMENT ON CONSTRAINT change_tickets_tenant_id_token_hash_key ON quarry.change_tickets IS 'change_tickets.redeem; a ticket is used once.';

ALTER TABLE ONLY quarry.contents
    ADD CONSTRAINT contents_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT contents_pkey ON quarry.contents IS 'contents.find.';

ALTER TABLE ONLY quarry.idempotency_keys
    ADD CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT idempotency_keys_pkey ON quarry.idempotency_keys IS 'idempotency_keys.settle.';

ALTER TABLE ONLY quarry.idempotency_keys
    ADD CONSTRAINT idempotency_keys_tenant_id_caller_id_key_key UNIQUE (tenant_id, caller_id, key);

COMMENT ON CONSTRAINT idempotency_keys_tenant_id_caller_id_key_key ON quarry.idempotency_keys IS 'A caller''s key is used once; a concurrent twin waits here (idempotency_keys.claim).';

ALTER TABLE ONLY quarry.influencer_niches
    ADD CONSTRAINT influencer_niches_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT influencer_niches_pkey ON quarry.influencer_niches IS 'Every tenant row has an id of its own.';

ALTER TABLE ONLY quarry.influencer_niches
    ADD CONSTRAINT influencer_niches_tenant_id_influencer_id_niche_id_key UNIQUE (tenant_id, influencer_id, niche_id);

COMMENT ON CONSTRAINT influencer_niches_tenant_id_influencer_id_niche_id_key ON quarry.influencer_niches IS 'A niche is attached once; reading influencer with niches.';

ALTER TABLE ONLY quarry.influencers
    ADD CONSTRAINT influencers_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT influencers_pkey ON quarry.influencers IS 'Finding an influencer; referenced by associations.';

ALTER TABLE ONLY quarry.otps
    ADD CONSTRAINT otps_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT otps_pkey ON quarry.otps IS 'Every tenant row has an id of its own.';

ALTER TABLE ONLY quarry.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT sessions_pkey ON quarry.sessions IS 'sessions.revoke.';

ALTER TABLE ONLY quarry.sessions
    ADD CONSTRAINT sessions_tenant_id_token_hash_key UNIQUE (tenant_id, token_hash);

COMMENT ON CONSTRAINT sessions_tenant_id_token_hash_key ON quarry.sessions IS 'sessions.authenticate; a token names one session.';

ALTER TABLE ONLY quarry.sign_in_failures
    ADD CONSTRAINT sign_in_failures_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT sign_in_failures_pkey ON quarry.sign_in_failures IS 'One row per failed attempt.';

ALTER TABLE ONLY quarry.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id);

COMMENT ON CONSTRAINT users_pkey ON quarry.users IS 'users.find; referenced by sessions and campaigns.';

CREATE INDEX changes_row_id_idx ON app.changes USING btree (tenant_id, row_id);

COMMENT ON INDEX app.changes_row_id_idx IS 'log.audit of one row.';

CREATE INDEX commits_actor_id_idx ON app.commits USING btree (tenant_id, actor_id, number DESC) WHERE (actor_id IS NOT NULL);

COMMENT ON INDEX app.commits_actor_id_idx IS 'log.audit of one actor.';

CREATE INDEX niches_created_at_idx ON app.niches USING btree (created_at DESC, id DESC);

COMMENT ON INDEX app.niches_created_at_idx IS 'Page order of niches.page.';

CREATE INDEX tenants_created_at_idx ON app.tenants USING btree (created_at DESC, id DESC);

COMMENT ON INDEX app.tenants_created_at_idx IS 'Page order of tenants.page.';

CREATE INDEX api_keys_created_at_idx ON quarry.api_keys USING btree (tenant_id, created_at DESC, id DESC);

COMMENT ON INDEX quarry.api_keys_created_at_idx IS 'Page order of api_keys.page.';

CREATE INDEX api_keys_created_by_idx ON quarry.api_keys USING btree (tenant_id, created_by);

COMMENT ON INDEX quarry.api_keys_created_by_idx IS 'The foreign key to users.';

CREATE INDEX brand_niches_niche_id_idx ON quarry.brand_niches USING btree (niche_id);

COMMENT ON INDEX quarry.brand_niches_niche_id_idx IS 'The foreign key: removing a niche.';

CREATE INDEX brands_created_at_idx ON quarry.brands USING btree (tenant_id, created_at DESC, id DESC) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.brands_created_at_idx IS 'Page order of brands.page.';

CREATE INDEX brands_deleted_at_idx ON quarry.brands USING btree (tenant_id, deleted_at) WHERE (deleted_at IS NOT NULL);

COMMENT ON INDEX quarry.brands_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

CREATE UNIQUE INDEX brands_tenant_id_email_key ON quarry.brands USING btree (tenant_id, email_index) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.brands_tenant_id_email_key IS 'One live profile per email.';

CREATE UNIQUE INDEX brands_tenant_id_phone_key ON quarry.brands USING btree (tenant_id, phone_index) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.brands_tenant_id_phone_key IS 'One live profile per phone.';

CREATE UNIQUE INDEX brands_tenant_id_username_key ON quarry.brands USING btree (tenant_id, username) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.brands_tenant_id_username_key IS 'One live profile per username.';

CREATE INDEX campaign_influencers_influencer_id_idx ON quarry.campaign_influencers USING btree (tenant_id, influencer_id);

COMMENT ON INDEX quarry.campaign_influencers_influencer_id_idx IS 'The foreign key: campaigns of an influencer.';

CREATE INDEX campaigns_brand_id_created_at_idx ON quarry.campaigns USING btree (tenant_id, brand_id, created_at DESC, id DESC);

COMMENT ON INDEX quarry.campaigns_brand_id_created_at_idx IS 'Page order of campaigns.page when filtered by brand_id; the foreign key.';

CREATE INDEX campaigns_created_at_idx ON quarry.campaigns USING btree (tenant_id, created_at DESC, id DESC) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.campaigns_created_at_idx IS 'Page order of campaigns.page.';

CREATE INDEX campaigns_deleted_at_idx ON quarry.campaigns USING btree (tenant_id, deleted_at) WHERE (deleted_at IS NOT NULL);

COMMENT ON INDEX quarry.campaigns_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

CREATE INDEX campaigns_owner_id_created_at_idx ON quarry.campaigns USING btree (tenant_id, owner_id, created_at DESC, id DESC);

COMMENT ON INDEX quarry.campaigns_owner_id_created_at_idx IS 'Page order of campaigns.page when filtered by owner_id; the foreign key.';

CREATE INDEX campaigns_search_name_idx ON quarry.campaigns USING btree (tenant_id, search_name text_pattern_ops) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.campaigns_search_name_idx IS 'campaigns.page by the beginning of the name.';

CREATE INDEX campaigns_status_created_at_idx ON quarry.campaigns USING btree (tenant_id, status, created_at DESC, id DESC) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.campaigns_status_created_at_idx IS 'Page order of campaigns.page when filtered by status.';

CREATE INDEX change_tickets_expires_at_idx ON quarry.change_tickets USING btree (tenant_id, expires_at);

COMMENT ON INDEX quarry.change_tickets_expires_at_idx IS 'change_tickets.purge.';

CREATE INDEX contents_campaign_id_idx ON quarry.contents USING btree (tenant_id, campaign_id, created_at DESC, id DESC);

COMMENT ON INDEX quarry.contents_campaign_id_idx IS 'Page order of contents.page, contents of a campaign, the foreign key.';

CREATE INDEX contents_deleted_at_idx ON quarry.contents USING btree (tenant_id, deleted_at) WHERE (deleted_at IS NOT NULL);

COMMENT ON INDEX quarry.contents_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

CREATE INDEX idempotency_keys_expires_at_idx ON quarry.idempotency_keys USING btree (tenant_id, expires_at);

COMMENT ON INDEX quarry.idempotency_keys_expires_at_idx IS 'idempotency_keys.purge.';

CREATE INDEX influencer_niches_niche_id_idx ON quarry.influencer_niches USING btree (niche_id);

COMMENT ON INDEX quarry.influencer_niches_niche_id_idx IS 'The foreign key: removing a niche.';

CREATE INDEX influencers_created_at_idx ON quarry.influencers USING btree (tenant_id, created_at DESC, id DESC) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.influencers_created_at_idx IS 'Page order of influencers.page.';

CREATE INDEX influencers_deleted_at_idx ON quarry.influencers USING btree (tenant_id, deleted_at) WHERE (deleted_at IS NOT NULL);

COMMENT ON INDEX quarry.influencers_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

CREATE INDEX influencers_search_name_idx ON quarry.influencers USING btree (tenant_id, search_name text_pattern_ops) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.influencers_search_name_idx IS 'Search by the beginning of the name.';

CREATE UNIQUE INDEX influencers_tenant_id_email_key ON quarry.influencers USING btree (tenant_id, email_index) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.influencers_tenant_id_email_key IS 'One live profile per email.';

CREATE UNIQUE INDEX influencers_tenant_id_phone_key ON quarry.influencers USING btree (tenant_id, phone_index) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.influencers_tenant_id_phone_key IS 'One live profile per phone.';

CREATE UNIQUE INDEX influencers_tenant_id_username_key ON quarry.influencers USING btree (tenant_id, username) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.influencers_tenant_id_username_key IS 'One live profile per username.';

CREATE INDEX otps_expires_at_idx ON quarry.otps USING btree (tenant_id, expires_at);

COMMENT ON INDEX quarry.otps_expires_at_idx IS 'The purge of old codes.';

CREATE INDEX otps_phone_index_idx ON quarry.otps USING btree (tenant_id, phone_index, created_at DESC);

COMMENT ON INDEX quarry.otps_phone_index_idx IS 'The newest code of a phone.';

CREATE INDEX sessions_user_id_idx ON quarry.sessions USING btree (tenant_id, user_id, created_at DESC, id DESC);

COMMENT ON INDEX quarry.sessions_user_id_idx IS 'sessions.page, sessions.revoke_others; the foreign key.';

CREATE INDEX sign_in_failures_created_at_idx ON quarry.sign_in_failures USING btree (tenant_id, created_at DESC, id DESC);

COMMENT ON INDEX quarry.sign_in_failures_created_at_idx IS 'The audit''s page order, and the purge.';

CREATE INDEX sign_in_failures_user_id_idx ON quarry.sign_in_failures USING btree (tenant_id, user_id);

COMMENT ON INDEX quarry.sign_in_failures_user_id_idx IS 'The foreign key to users.';

CREATE INDEX users_created_at_idx ON quarry.users USING btree (tenant_id, created_at DESC, id DESC) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.users_created_at_idx IS 'Page order of users.page.';

CREATE INDEX users_deleted_at_idx ON quarry.users USING btree (tenant_id, deleted_at) WHERE (deleted_at IS NOT NULL);

COMMENT ON INDEX quarry.users_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

CREATE UNIQUE INDEX users_tenant_id_email_key ON quarry.users USING btree (tenant_id, email_index) WHERE (deleted_at IS NULL);

COMMENT ON INDEX quarry.users_tenant_id_email_key IS 'An address belongs to one live user; users.find_credentials, users.page by email.';

CREATE CONSTRAINT TRIGGER number_commit AFTER INSERT ON app.changes DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.ordinal = 1)) EXECUTE FUNCTION app.number_commit();

CREATE TRIGGER number_shared AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON app.niches FOR EACH STATEMENT EXECUTE FUNCTION app.number_shared();

CREATE TRIGGER open_stream AFTER INSERT ON app.tenants FOR EACH ROW EXECUTE FUNCTION app.open_stream();

CREATE TRIGGER record_delete AFTER DELETE ON app.tenants REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION app.record_tenants();

CREATE TRIGGER record_insert AFTER INSERT ON app.tenants REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION app.record_tenants();

CREATE TRIGGER record_update AFTER UPDATE ON app.tenants REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION app.record_tenants();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON app.tenants FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER touch BEFORE UPDATE ON app.niches FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch_shared();

CREATE TRIGGER touch BEFORE UPDATE ON app.tenants FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch_shared();

CREATE TRIGGER check_references BEFORE INSERT OR UPDATE OF owner_id, brand_id, deleted_at ON quarry.campaigns FOR EACH ROW EXECUTE FUNCTION quarry.check_campaign_references();

CREATE TRIGGER check_unused BEFORE UPDATE OF deleted_at ON quarry.brands FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION quarry.check_brand_unused();

CREATE TRIGGER check_unused BEFORE UPDATE OF deleted_at ON quarry.influencers FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION quarry.check_influencer_unused();

CREATE TRIGGER check_unused BEFORE UPDATE OF deleted_at ON quarry.users FOR EACH ROW WHEN (((old.deleted_at IS NULL) AND (new.deleted_at IS NOT NULL))) EXECUTE FUNCTION quarry.check_user_unused();

CREATE TRIGGER complete BEFORE INSERT OR UPDATE ON quarry.brands FOR EACH ROW EXECUTE FUNCTION quarry.complete_brand();

CREATE TRIGGER fold_name BEFORE INSERT OR UPDATE OF name, search_name ON quarry.campaigns FOR EACH ROW EXECUTE FUNCTION app.fold_name();

CREATE TRIGGER fold_name BEFORE INSERT OR UPDATE OF name, search_name ON quarry.influencers FOR EACH ROW EXECUTE FUNCTION app.fold_name();

CREATE TRIGGER keep_an_owner AFTER UPDATE OF role, is_active, deleted_at ON quarry.users FOR EACH ROW WHEN (((old.role = 'owner'::text) AND old.is_active AND (old.deleted_at IS NULL) AND (NOT ((new.role = 'owner'::text) AND new.is_active AND (new.deleted_at IS NULL))))) EXECUTE FUNCTION quarry.keep_an_owner();

CREATE TRIGGER keep_archived BEFORE UPDATE OF status ON quarry.campaigns FOR EACH ROW WHEN (((old.status = 'archived'::text) AND (new.status <> 'archived'::text))) EXECUTE FUNCTION quarry.keep_archived();

CREATE TRIGGER publish BEFORE INSERT OR UPDATE ON quarry.contents FOR EACH ROW EXECUTE FUNCTION quarry.publish_content();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.api_keys REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_api_keys();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.brand_niches REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brand_niches();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.brands REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brands();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.campaign_influencers REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_campaign_influencers();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.campaigns REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_campaigns();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.contents REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_contents();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.influencer_niches REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_influencer_niches();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.influencers REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_influencers();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.sessions REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_sessions();

CREATE TRIGGER record_delete AFTER DELETE ON quarry.users REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_users();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.api_keys REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_api_keys();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.brand_niches REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brand_niches();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.brands REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brands();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.campaign_influencers REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_campaign_influencers();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.campaigns REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_campaigns();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.contents REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_contents();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.influencer_niches REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_influencer_niches();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.influencers REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_influencers();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.sessions REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_sessions();

CREATE TRIGGER record_insert AFTER INSERT ON quarry.users REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_users();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.api_keys REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_api_keys();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.brand_niches REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brand_niches();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.brands REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brands();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.campaign_influencers REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_campaign_influencers();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.campaigns REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_campaigns();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.contents REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_contents();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.influencer_niches REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_influencer_niches();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.influencers REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_influencers();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.sessions REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_sessions();

CREATE TRIGGER record_update AFTER UPDATE ON quarry.users REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_users();

CREATE TRIGGER refuse_in_maintenance BEFORE INSERT OR UPDATE ON quarry.otps FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_in_maintenance();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.api_keys FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.brand_niches FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.brands FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.campaign_influencers FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.campaigns FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.contents FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.influencer_niches FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.influencers FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.sessions FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON quarry.users FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.api_keys FOR EACH ROW WHEN (((old.tenant_id <> new.tenant_id) OR (old.id <> new.id) OR (old.name <> new.name) OR (old.role <> new.role) OR (old.key_hash <> new.key_hash) OR (old.key_mac IS DISTINCT FROM new.key_mac) OR (old.created_by <> new.created_by) OR (old.expires_at IS DISTINCT FROM new.expires_at) OR (old.revoked_at IS DISTINCT FROM new.revoked_at) OR (old.created_at <> new.created_at) OR (old.updated_at <> new.updated_at) OR (old.version <> new.version))) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.brand_niches FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.brands FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.campaign_influencers FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.campaigns FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.contents FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.influencer_niches FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.influencers FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.sessions FOR EACH ROW WHEN (((old.user_id IS DISTINCT FROM new.user_id) OR (old.tenant_id <> new.tenant_id) OR (old.id <> new.id) OR (old.token_hash <> new.token_hash) OR (old.token_mac IS DISTINCT FROM new.token_mac) OR (old.ip IS DISTINCT FROM new.ip) OR (old.version <> new.version) OR (old.user_agent IS DISTINCT FROM new.user_agent) OR (old.created_at <> new.created_at) OR (old.updated_at <> new.updated_at) OR (old.expires_at <> new.expires_at) OR (old.revoked_at IS DISTINCT FROM new.revoked_at) OR (old.expired_at IS DISTINCT FROM new.expired_at))) EXECUTE FUNCTION app.touch();

CREATE TRIGGER touch BEFORE UPDATE ON quarry.users FOR EACH ROW WHEN ((old.* IS DISTINCT FROM new.*)) EXECUTE FUNCTION app.touch();

ALTER TABLE ONLY app.schemas
    ADD CONSTRAINT schemas_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT schemas_tenant_id_fkey ON app.schemas IS 'A schema belongs to a tenant that exists.';

ALTER TABLE ONLY quarry.api_keys
    ADD CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (tenant_id, created_by) REFERENCES quarry.users(tenant_id, id);

COMMENT ON CONSTRAINT api_keys_created_by_fkey ON quarry.api_keys IS 'The user is of the same tenant.';

ALTER TABLE ONLY quarry.api_keys
    ADD CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT api_keys_tenant_id_fkey ON quarry.api_keys IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.brand_niches
    ADD CONSTRAINT brand_niches_brand_id_fkey FOREIGN KEY (tenant_id, brand_id) REFERENCES quarry.brands(tenant_id, id) ON DELETE CASCADE;

COMMENT ON CONSTRAINT brand_niches_brand_id_fkey ON quarry.brand_niches IS 'The brand is of the same tenant.';

ALTER TABLE ONLY quarry.brand_niches
    ADD CONSTRAINT brand_niches_niche_id_fkey FOREIGN KEY (niche_id) REFERENCES app.niches(id);

COMMENT ON CONSTRAINT brand_niches_niche_id_fkey ON quarry.brand_niches IS 'The niche exists.';

ALTER TABLE ONLY quarry.brand_niches
    ADD CONSTRAINT brand_niches_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT brand_niches_tenant_id_fkey ON quarry.brand_niches IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.brands
    ADD CONSTRAINT brands_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT brands_tenant_id_fkey ON quarry.brands IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.campaign_influencers
    ADD CONSTRAINT campaign_influencers_campaign_id_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES quarry.campaigns(tenant_id, id) ON DELETE CASCADE;

COMMENT ON CONSTRAINT campaign_influencers_campaign_id_fkey ON quarry.campaign_influencers IS 'The campaign is of the same tenant.';

ALTER TABLE ONLY quarry.campaign_influencers
    ADD CONSTRAINT campaign_influencers_influencer_id_fkey FOREIGN KEY (tenant_id, influencer_id) REFERENCES quarry.influencers(tenant_id, id);

COMMENT ON CONSTRAINT campaign_influencers_influencer_id_fkey ON quarry.campaign_influencers IS 'The influencer is of the same tenant.';

ALTER TABLE ONLY quarry.campaign_influencers
    ADD CONSTRAINT campaign_influencers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT campaign_influencers_tenant_id_fkey ON quarry.campaign_influencers IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.campaigns
    ADD CONSTRAINT campaigns_brand_id_fkey FOREIGN KEY (tenant_id, brand_id) REFERENCES quarry.brands(tenant_id, id);

COMMENT ON CONSTRAINT campaigns_brand_id_fkey ON quarry.campaigns IS 'The brand is of the same tenant.';

ALTER TABLE ONLY quarry.campaigns
    ADD CONSTRAINT campaigns_owner_id_fkey FOREIGN KEY (tenant_id, owner_id) REFERENCES quarry.users(tenant_id, id);

COMMENT ON CONSTRAINT campaigns_owner_id_fkey ON quarry.campaigns IS 'The user is of the same tenant.';

ALTER TABLE ONLY quarry.campaigns
    ADD CONSTRAINT campaigns_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT campaigns_tenant_id_fkey ON quarry.campaigns IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.change_tickets
    ADD CONSTRAINT change_tickets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT change_tickets_tenant_id_fkey ON quarry.change_tickets IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.contents
    ADD CONSTRAINT contents_campaign_id_fkey FOREIGN KEY (tenant_id, campaign_id) REFERENCES quarry.campaigns(tenant_id, id) ON DELETE CASCADE;

COMMENT ON CONSTRAINT contents_campaign_id_fkey ON quarry.contents IS 'The campaign is of the same tenant; contents go with it.';

ALTER TABLE ONLY quarry.contents
    ADD CONSTRAINT contents_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT contents_tenant_id_fkey ON quarry.contents IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.idempotency_keys
    ADD CONSTRAINT idempotency_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT idempotency_keys_tenant_id_fkey ON quarry.idempotency_keys IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.influencer_niches
    ADD CONSTRAINT influencer_niches_influencer_id_fkey FOREIGN KEY (tenant_id, influencer_id) REFERENCES quarry.influencers(tenant_id, id) ON DELETE CASCADE;

COMMENT ON CONSTRAINT influencer_niches_influencer_id_fkey ON quarry.influencer_niches IS 'The influencer is of the same tenant.';

ALTER TABLE ONLY quarry.influencer_niches
    ADD CONSTRAINT influencer_niches_niche_id_fkey FOREIGN KEY (niche_id) REFERENCES app.niches(id);

COMMENT ON CONSTRAINT influencer_niches_niche_id_fkey ON quarry.influencer_niches IS 'The niche exists.';

ALTER TABLE ONLY quarry.influencer_niches
    ADD CONSTRAINT influencer_niches_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT influencer_niches_tenant_id_fkey ON quarry.influencer_niches IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.influencers
    ADD CONSTRAINT influencers_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT influencers_tenant_id_fkey ON quarry.influencers IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.otps
    ADD CONSTRAINT otps_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT otps_tenant_id_fkey ON quarry.otps IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.sessions
    ADD CONSTRAINT sessions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT sessions_tenant_id_fkey ON quarry.sessions IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES quarry.users(tenant_id, id) ON DELETE CASCADE;

COMMENT ON CONSTRAINT sessions_user_id_fkey ON quarry.sessions IS 'The user is of the same tenant.';

ALTER TABLE ONLY quarry.sign_in_failures
    ADD CONSTRAINT sign_in_failures_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT sign_in_failures_tenant_id_fkey ON quarry.sign_in_failures IS 'Rows belong to a tenant that exists.';

ALTER TABLE ONLY quarry.sign_in_failures
    ADD CONSTRAINT sign_in_failures_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES quarry.users(tenant_id, id) ON DELETE CASCADE;

COMMENT ON CONSTRAINT sign_in_failures_user_id_fkey ON quarry.sign_in_failures IS 'The user is of the same tenant.';

ALTER TABLE ONLY quarry.users
    ADD CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants(id);

COMMENT ON CONSTRAINT users_tenant_id_fkey ON quarry.users IS 'Rows belong to a tenant that exists.';

ALTER TABLE app.changes ENABLE ROW LEVEL SECURITY;

ALTER TABLE app.commits ENABLE ROW LEVEL SECURITY;

ALTER TABLE app.cursors ENABLE ROW LEVEL SECURITY;

ALTER TABLE app.heads ENABLE ROW LEVEL SECURITY;

CREATE POLICY log ON app.changes TO quarry_owner USING (true) WITH CHECK (true);

CREATE POLICY log ON app.commits TO quarry_owner USING (true) WITH CHECK (true);

CREATE POLICY log ON app.cursors TO quarry_owner USING (true) WITH CHECK (true);

CREATE POLICY log ON app.heads TO quarry_owner USING (true) WITH CHECK (true);

CREATE POLICY platform ON app.schemas TO quarry_owner, quarry_platform USING (true) WITH CHECK (true);

COMMENT ON POLICY platform ON app.schemas IS 'Platform work, migrations and the owner''s functions see all of them.';

CREATE POLICY platform ON app.tenants TO quarry_owner, quarry_platform USING (true) WITH CHECK (true);

COMMENT ON POLICY platform ON app.tenants IS 'Platform work and the owner''s functions see all tenants.';

ALTER TABLE app.schemas ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant ON app.changes TO quarry_app USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

CREATE POLICY tenant ON app.commits TO quarry_app USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

CREATE POLICY tenant ON app.cursors TO quarry_app USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

CREATE POLICY tenant ON app.heads TO quarry_app USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

CREATE POLICY tenant ON app.schemas TO quarry_app USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON app.schemas IS 'The serving role is told where the rows of the bound tenant are.';

CREATE POLICY tenant ON app.tenants TO quarry_app USING ((id = app.current_tenant())) WITH CHECK ((id = app.current_tenant()));

COMMENT ON POLICY tenant ON app.tenants IS 'The serving role sees the tenant it is bound to.';

ALTER TABLE app.tenants ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.api_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.brand_niches ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.brands ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.campaign_influencers ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.campaigns ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.change_tickets ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.contents ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.idempotency_keys ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.influencer_niches ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.influencers ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.otps ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.sessions ENABLE ROW LEVEL SECURITY;

ALTER TABLE quarry.sign_in_failures ENABLE ROW LEVEL SECURITY;

CREATE POLICY tenant ON quarry.api_keys USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.api_keys IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.brand_niches USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.brand_niches IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.brands USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.brands IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.campaign_influencers USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.campaign_influencers IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.campaigns USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.campaigns IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.change_tickets USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.change_tickets IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.contents USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.contents IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.idempotency_keys USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.idempotency_keys IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.influencer_niches USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.influencer_niches IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.influencers USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.influencers IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.otps USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.otps IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.sessions USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.sessions IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.sign_in_failures USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.sign_in_failures IS 'Rows of the bound tenant only, for every role.';

CREATE POLICY tenant ON quarry.users USING ((tenant_id = app.current_tenant())) WITH CHECK ((tenant_id = app.current_tenant()));

COMMENT ON POLICY tenant ON quarry.users IS 'Rows of the bound tenant only, for every role.';

ALTER TABLE quarry.users ENABLE ROW LEVEL SECURITY;

GRANT USAGE ON SCHEMA app TO quarry_app;
GRANT USAGE ON SCHEMA app TO quarry_backup;
GRANT USAGE ON SCHEMA app TO quarry_platform;

GRANT USAGE ON SCHEMA quarry TO quarry_app;
GRANT USAGE ON SCHEMA quarry TO quarry_backup;
GRANT USAGE ON SCHEMA quarry TO quarry_platform;

REVOKE ALL ON FUNCTION app.claim_keys(given bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION app.claim_keys(given bytea) TO quarry_app;

REVOKE ALL ON FUNCTION app.claim_purge(every interval) FROM PUBLIC;
GRANT ALL ON FUNCTION app.claim_purge(every interval) TO quarry_app;

REVOKE ALL ON FUNCTION app.commit_outcome(tenant uuid, numbered bigint, transaction_id xid8, microseconds bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION app.commit_outcome(tenant uuid, numbered bigint, transaction_id xid8, microseconds bigint) TO quarry_app;
GRANT ALL ON FUNCTION app.commit_outcome(tenant uuid, numbered bigint, transaction_id xid8, microseconds bigint) TO quarry_platform;

REVOKE ALL ON FUNCTION app.consumer_lag() FROM PUBLIC;
GRANT ALL ON FUNCTION app.consumer_lag() TO quarry_app;
GRANT ALL ON FUNCTION app.consumer_lag() TO quarry_platform;

REVOKE ALL ON FUNCTION app.enter(tenant uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION app.enter(tenant uuid) TO quarry_app;
GRANT ALL ON FUNCTION app.enter(tenant uuid) TO quarry_platform;

REVOKE ALL ON FUNCTION app.enter_life() FROM PUBLIC;
GRANT ALL ON FUNCTION app.enter_life() TO quarry_app;
GRANT ALL ON FUNCTION app.enter_life() TO quarry_platform;

REVOKE ALL ON FUNCTION app.entered(tenant uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION app.entered(tenant uuid) TO quarry_app;

REVOKE ALL ON FUNCTION app.find_tenant(host text) FROM PUBLIC;
GRANT ALL ON FUNCTION app.find_tenant(host text) TO quarry_app;
GRANT ALL ON FUNCTION app.find_tenant(host text) TO quarry_platform;

REVOKE ALL ON FUNCTION app.fold_name() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.forget_consumer(name text) FROM PUBLIC;
GRANT ALL ON FUNCTION app.forget_consumer(name text) TO quarry_platform;

REVOKE ALL ON FUNCTION app.former_xid(given xid8, epoch integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION app.heads(tenants uuid[]) FROM PUBLIC;
GRANT ALL ON FUNCTION app.heads(tenants uuid[]) TO quarry_app;

REVOKE ALL ON FUNCTION app.is_sealed(value bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION app.is_sealed(value bytea) TO quarry_app;

REVOKE ALL ON FUNCTION app.merge_patch(target jsonb, patch jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION app.merge_patch(target jsonb, patch jsonb) TO quarry_app;

REVOKE ALL ON FUNCTION app.note_purge(failures integer) FROM PUBLIC;
GRANT ALL ON FUNCTION app.note_purge(failures integer) TO quarry_app;

REVOKE ALL ON FUNCTION app.number_commit() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.number_shared() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.open_stream() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.own_migrations() FROM PUBLIC;
GRANT ALL ON FUNCTION app.own_migrations() TO quarry_app;

REVOKE ALL ON FUNCTION app.prune_log(tenant uuid, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION app.prune_log(tenant uuid, at_most integer) TO quarry_app;

REVOKE ALL ON FUNCTION app.raise_epoch() FROM PUBLIC;
GRANT ALL ON FUNCTION app.raise_epoch() TO quarry_platform;

REVOKE ALL ON FUNCTION app.reach(wanted_epoch integer, wanted_head bigint, wanted_shared bigint, patience interval) FROM PUBLIC;
GRANT ALL ON FUNCTION app.reach(wanted_epoch integer, wanted_head bigint, wanted_shared bigint, patience interval) TO quarry_app;

REVOKE ALL ON FUNCTION app.record_changes(changed_table text, operation text, tenants uuid[], ids uuid[], changed text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION app.record_tenants() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.refuse_in_maintenance() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.refuse_truncate() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.rfc3339(day date) FROM PUBLIC;
GRANT ALL ON FUNCTION app.rfc3339(day date) TO quarry_app;

REVOKE ALL ON FUNCTION app.rfc3339(moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION app.rfc3339(moment timestamp with time zone) TO quarry_app;

REVOKE ALL ON FUNCTION app.tenants_after(previous uuid, at_most integer) FROM PUBLIC;

REVOKE ALL ON FUNCTION app.touch() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.touch_shared() FROM PUBLIC;

REVOKE ALL ON FUNCTION app.unsealed(plain text) FROM PUBLIC;
GRANT ALL ON FUNCTION app.unsealed(plain text) TO quarry_app;

REVOKE ALL ON FUNCTION app.unsealed_index(plain text) FROM PUBLIC;
GRANT ALL ON FUNCTION app.unsealed_index(plain text) TO quarry_app;

REVOKE ALL ON FUNCTION app.waiting(name text, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION app.waiting(name text, at_most integer) TO quarry_app;

REVOKE ALL ON FUNCTION quarry.applied_migrations() FROM PUBLIC;
GRANT ALL ON FUNCTION quarry.applied_migrations() TO quarry_app;

REVOKE ALL ON FUNCTION quarry.check_brand_unused() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.check_campaign_references() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.check_influencer_unused() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.check_user_unused() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.complete_brand() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.has_ended_rows(tenant uuid, idle interval, further text[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.has_plain_values(tenant uuid) FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.keep_an_owner() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.keep_archived() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.look_for_plain_values() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.prune_api_keys(tenant uuid, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION quarry.prune_api_keys(tenant uuid, at_most integer) TO quarry_app;

REVOKE ALL ON FUNCTION quarry.prune_deleted(tenant uuid, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION quarry.prune_deleted(tenant uuid, at_most integer) TO quarry_app;

REVOKE ALL ON FUNCTION quarry.prune_sign_in_failures(tenant uuid, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION quarry.prune_sign_in_failures(tenant uuid, at_most integer) TO quarry_app;

REVOKE ALL ON FUNCTION quarry.publish_content() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_api_keys() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_brand_niches() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_brands() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_campaign_influencers() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_campaigns() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_contents() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_influencer_niches() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_influencers() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_sessions() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.record_users() FROM PUBLIC;

REVOKE ALL ON FUNCTION quarry.tenants_to_purge(previous uuid, at_most integer, idle interval) FROM PUBLIC;
GRANT ALL ON FUNCTION quarry.tenants_to_purge(previous uuid, at_most integer, idle interval) TO quarry_app;

REVOKE ALL ON FUNCTION quarry.tenants_to_seal(previous uuid, at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION quarry.tenants_to_seal(previous uuid, at_most integer) TO quarry_app;

GRANT SELECT ON TABLE app.changes TO quarry_app;
GRANT SELECT ON TABLE app.changes TO quarry_backup;

GRANT SELECT ON TABLE app.commits TO quarry_app;
GRANT SELECT ON TABLE app.commits TO quarry_backup;

GRANT SELECT ON TABLE app.cursors TO quarry_backup;

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE app.cursors TO quarry_app;

GRANT SELECT(consumer),INSERT(consumer) ON TABLE app.cursors TO quarry_app;

GRANT SELECT(epoch),INSERT(epoch),UPDATE(epoch) ON TABLE app.cursors TO quarry_app;

GRANT SELECT(number),INSERT(number),UPDATE(number) ON TABLE app.cursors TO quarry_app;

GRANT SELECT(failures),UPDATE(failures) ON TABLE app.cursors TO quarry_app;

GRANT SELECT(retry_at),UPDATE(retry_at) ON TABLE app.cursors TO quarry_app;

GRANT SELECT(cut_off_at),UPDATE(cut_off_at) ON TABLE app.cursors TO quarry_app;

GRANT UPDATE(moved_at) ON TABLE app.cursors TO quarry_app;

GRANT SELECT ON TABLE app.heads TO quarry_app;
GRANT SELECT ON TABLE app.heads TO quarry_backup;

GRANT SELECT ON TABLE app.installation TO quarry_backup;
GRANT SELECT ON TABLE app.installation TO quarry_platform;

GRANT SELECT(epoch) ON TABLE app.installation TO quarry_app;

GRANT SELECT(log_retention) ON TABLE app.installation TO quarry_app;
GRANT UPDATE(log_retention) ON TABLE app.installation TO quarry_platform;

GRANT UPDATE(deleted_retention) ON TABLE app.installation TO quarry_platform;

GRANT SELECT(shared_number) ON TABLE app.installation TO quarry_app;

GRANT SELECT(is_read_only) ON TABLE app.installation TO quarry_app;
GRANT UPDATE(is_read_only) ON TABLE app.installation TO quarry_platform;

GRANT SELECT(purged_at) ON TABLE app.installation TO quarry_app;

GRANT SELECT(purge_failures) ON TABLE app.installation TO quarry_app;

GRANT SELECT ON TABLE app.niches TO quarry_app;
GRANT SELECT ON TABLE app.niches TO quarry_backup;
GRANT SELECT,DELETE ON TABLE app.niches TO quarry_platform;

GRANT INSERT(name),UPDATE(name) ON TABLE app.niches TO quarry_platform;

GRANT INSERT(icon),UPDATE(icon) ON TABLE app.niches TO quarry_platform;

GRANT INSERT(description),UPDATE(description) ON TABLE app.niches TO quarry_platform;

GRANT INSERT(is_active),UPDATE(is_active) ON TABLE app.niches TO quarry_platform;

GRANT SELECT ON TABLE app.schemas TO quarry_app;
GRANT SELECT ON TABLE app.schemas TO quarry_backup;
GRANT SELECT ON TABLE app.schemas TO quarry_platform;

GRANT INSERT(tenant_id) ON TABLE app.schemas TO quarry_platform;

GRANT INSERT(name) ON TABLE app.schemas TO quarry_platform;

GRANT SELECT ON TABLE app.tenants TO quarry_app;
GRANT SELECT ON TABLE app.tenants TO quarry_backup;
GRANT SELECT,DELETE ON TABLE app.tenants TO quarry_platform;

GRANT INSERT(id) ON TABLE app.tenants TO quarry_platform;

GRANT INSERT(name),UPDATE(name) ON TABLE app.tenants TO quarry_platform;
GRANT UPDATE(name) ON TABLE app.tenants TO quarry_app;

GRANT INSERT(domain),UPDATE(domain) ON TABLE app.tenants TO quarry_platform;

GRANT INSERT(status),UPDATE(status) ON TABLE app.tenants TO quarry_platform;

GRANT INSERT(plan),UPDATE(plan) ON TABLE app.tenants TO quarry_platform;

GRANT INSERT(features),UPDATE(features) ON TABLE app.tenants TO quarry_platform;
GRANT UPDATE(features) ON TABLE app.tenants TO quarry_app;

GRANT INSERT(configuration),UPDATE(configuration) ON TABLE app.tenants TO quarry_platform;
GRANT UPDATE(configuration) ON TABLE app.tenants TO quarry_app;

GRANT SELECT ON TABLE quarry.api_keys TO quarry_app;
GRANT SELECT ON TABLE quarry.api_keys TO quarry_backup;

GRANT INSERT(tenant_id) ON TABLE quarry.api_keys TO quarry_app;

GRANT INSERT(name) ON TABLE quarry.api_keys TO quarry_app;

GRANT INSERT(role) ON TABLE quarry.api_keys TO quarry_app;

GRANT INSERT(key_hash) ON TABLE quarry.api_keys TO quarry_app;

GRANT INSERT(created_by) ON TABLE quarry.api_keys TO quarry_app;

GRANT INSERT(expires_at) ON TABLE quarry.api_keys TO quarry_app;

GRANT UPDATE(last_used_at) ON TABLE quarry.api_keys TO quarry_app;

GRANT UPDATE(revoked_at) ON TABLE quarry.api_keys TO quarry_app;

GRANT INSERT(key_mac),UPDATE(key_mac) ON TABLE quarry.api_keys TO quarry_app;

GRANT SELECT ON TABLE quarry.brand_niches TO quarry_backup;
GRANT SELECT,DELETE ON TABLE quarry.brand_niches TO quarry_app;

GRANT INSERT(tenant_id) ON TABLE quarry.brand_niches TO quarry_app;

GRANT INSERT(brand_id) ON TABLE quarry.brand_niches TO quarry_app;

GRANT INSERT(niche_id) ON TABLE quarry.brand_niches TO quarry_app;

GRANT SELECT ON TABLE quarry.brands TO quarry_app;
GRANT SELECT ON TABLE quarry.brands TO quarry_backup;

GRANT INSERT(tenant_id) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(id) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(brand_name),UPDATE(brand_name) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(username),UPDATE(username) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(email),UPDATE(email) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(email_index),UPDATE(email_index) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(phone),UPDATE(phone) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(phone_index),UPDATE(phone_index) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(legal_entity_name),UPDATE(legal_entity_name) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(company_type),UPDATE(company_type) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(brand_email),UPDATE(brand_email) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(poc_name),UPDATE(poc_name) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(poc_designation),UPDATE(poc_designation) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(poc_email),UPDATE(poc_email) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(poc_contact_number),UPDATE(poc_contact_number) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(bio),UPDATE(bio) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(profile_image),UPDATE(profile_image) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(incorporation_document),UPDATE(incorporation_document) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(gst_document),UPDATE(gst_document) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(pan_document),UPDATE(pan_document) ON TABLE quarry.brands TO quarry_app;

GRANT UPDATE(is_phone_verified) ON TABLE quarry.brands TO quarry_app;

GRANT INSERT(is_active),UPDATE(is_active) ON TABLE quarry.brands TO quarry_app;

GRANT UPDATE(updated_at) ON TABLE quarry.brands TO quarry_app;

GRANT UPDATE(deleted_at) ON TABLE quarry.brands TO quarry_app;

GRANT SELECT ON TABLE quarry.campaign_influencers TO quarry_backup;
GRANT SELECT,DELETE ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT INSERT(tenant_id) ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT INSERT(campaign_id) ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT INSERT(influencer_id) ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT INSERT(status),UPDATE(status) ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT INSERT(fee_minor),UPDATE(fee_minor) ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT INSERT(currency),UPDATE(currency) ON TABLE quarry.campaign_influencers TO quarry_app;

GRANT SELECT ON TABLE quarry.campaigns TO quarry_backup;
GRANT SELECT,DELETE ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(tenant_id) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(id) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(name),UPDATE(name) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(description),UPDATE(description) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(status),UPDATE(status) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(owner_id),UPDATE(owner_id) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(brand_id),UPDATE(brand_id) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(budget_minor),UPDATE(budget_minor) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(currency),UPDATE(currency) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(starts_on),UPDATE(starts_on) ON TABLE quarry.campaigns TO quarry_app;

GRANT INSERT(ends_on),UPDATE(ends_on) ON TABLE quarry.campaigns TO quarry_app;

GRANT UPDATE(deleted_at) ON TABLE quarry.campaigns TO quarry_app;

GRANT DELETE ON TABLE quarry.change_tickets TO quarry_app;
GRANT SELECT ON TABLE quarry.change_tickets TO quarry_backup;

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT(id) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT(token_hash),INSERT(token_hash) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT(bearer_kind),INSERT(bearer_kind) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT(bearer_hash),INSERT(bearer_hash) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT(expires_at),INSERT(expires_at) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT(token_mac),INSERT(token_mac) ON TABLE quarry.change_tickets TO quarry_app;

GRANT SELECT ON TABLE quarry.contents TO quarry_app;
GRANT SELECT ON TABLE quarry.contents TO quarry_backup;

GRANT INSERT(tenant_id) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(id) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(campaign_id) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(kind),UPDATE(kind) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(title),UPDATE(title) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(body),UPDATE(body) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(url),UPDATE(url) ON TABLE quarry.contents TO quarry_app;

GRANT INSERT(status),UPDATE(status) ON TABLE quarry.contents TO quarry_app;

GRANT UPDATE(deleted_at) ON TABLE quarry.contents TO quarry_app;

GRANT DELETE ON TABLE quarry.idempotency_keys TO quarry_app;
GRANT SELECT ON TABLE quarry.idempotency_keys TO quarry_backup;

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(id) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(caller_id),INSERT(caller_id) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(key),INSERT(key) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(fingerprint),INSERT(fingerprint),UPDATE(fingerprint) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(xid),UPDATE(xid) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(answer),UPDATE(answer) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT(expires_at),INSERT(expires_at),UPDATE(expires_at) ON TABLE quarry.idempotency_keys TO quarry_app;

GRANT SELECT ON TABLE quarry.influencer_niches TO quarry_backup;
GRANT SELECT,DELETE ON TABLE quarry.influencer_niches TO quarry_app;

GRANT INSERT(tenant_id) ON TABLE quarry.influencer_niches TO quarry_app;

GRANT INSERT(influencer_id) ON TABLE quarry.influencer_niches TO quarry_app;

GRANT INSERT(niche_id) ON TABLE quarry.influencer_niches TO quarry_app;

GRANT SELECT ON TABLE quarry.influencers TO quarry_app;
GRANT SELECT ON TABLE quarry.influencers TO quarry_backup;

GRANT INSERT(tenant_id) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(id) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(name),UPDATE(name) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(username),UPDATE(username) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(email),UPDATE(email) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(email_index),UPDATE(email_index) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(phone),UPDATE(phone) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(phone_index),UPDATE(phone_index) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(date_of_birth),UPDATE(date_of_birth) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(gender),UPDATE(gender) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(bio),UPDATE(bio) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(profile_image),UPDATE(profile_image) ON TABLE quarry.influencers TO quarry_app;

GRANT UPDATE(is_phone_verified) ON TABLE quarry.influencers TO quarry_app;

GRANT INSERT(is_active),UPDATE(is_active) ON TABLE quarry.influencers TO quarry_app;

GRANT UPDATE(updated_at) ON TABLE quarry.influencers TO quarry_app;

GRANT UPDATE(deleted_at) ON TABLE quarry.influencers TO quarry_app;

GRANT SELECT ON TABLE quarry.otps TO quarry_backup;
GRANT SELECT,DELETE ON TABLE quarry.otps TO quarry_app;

GRANT INSERT(tenant_id) ON TABLE quarry.otps TO quarry_app;

GRANT INSERT(phone_index) ON TABLE quarry.otps TO quarry_app;

GRANT INSERT(code_hash) ON TABLE quarry.otps TO quarry_app;

GRANT UPDATE(attempts) ON TABLE quarry.otps TO quarry_app;

GRANT INSERT(expires_at) ON TABLE quarry.otps TO quarry_app;

GRANT UPDATE(used_at) ON TABLE quarry.otps TO quarry_app;

GRANT DELETE ON TABLE quarry.sessions TO quarry_app;
GRANT SELECT ON TABLE quarry.sessions TO quarry_backup;

GRANT SELECT(tenant_id),INSERT(tenant_id) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(id) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(user_id),INSERT(user_id) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(token_hash),INSERT(token_hash) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(ip),INSERT(ip) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(user_agent),INSERT(user_agent) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(last_seen_at),UPDATE(last_seen_at) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(expires_at),INSERT(expires_at) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(revoked_at),UPDATE(revoked_at) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(created_at) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(expired_at),UPDATE(expired_at) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT(token_mac),INSERT(token_mac),UPDATE(token_mac) ON TABLE quarry.sessions TO quarry_app;

GRANT SELECT ON TABLE quarry.sign_in_failures TO quarry_app;
GRANT SELECT ON TABLE quarry.sign_in_failures TO quarry_backup;

GRANT INSERT(tenant_id) ON TABLE quarry.sign_in_failures TO quarry_app;

GRANT INSERT(email_hash) ON TABLE quarry.sign_in_failures TO quarry_app;

GRANT INSERT(user_id) ON TABLE quarry.sign_in_failures TO quarry_app;

GRANT INSERT(ip) ON TABLE quarry.sign_in_failures TO quarry_app;

GRANT INSERT(user_agent) ON TABLE quarry.sign_in_failures TO quarry_app;

GRANT INSERT(request_id) ON TABLE quarry.sign_in_failures TO quarry_app;

GRANT SELECT ON TABLE quarry.users TO quarry_app;
GRANT SELECT ON TABLE quarry.users TO quarry_backup;

GRANT INSERT(tenant_id) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(id) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(email),UPDATE(email) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(display_name),UPDATE(display_name) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(password_hash),UPDATE(password_hash) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(role),UPDATE(role) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(is_active),UPDATE(is_active) ON TABLE quarry.users TO quarry_app;

GRANT UPDATE(deleted_at) ON TABLE quarry.users TO quarry_app;

GRANT INSERT(email_index),UPDATE(email_index) ON TABLE quarry.users TO quarry_app;
