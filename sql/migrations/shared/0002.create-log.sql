-- The log: every committed change of a tracked table, and one number per tenant and transaction, taken at commit.
-- depends: 0001.create-tenants

SET LOCAL lock_timeout = '4s';

CREATE TABLE app.heads (
    tenant_id uuid   NOT NULL,
    head      bigint NOT NULL DEFAULT 0,
    floor     bigint NOT NULL DEFAULT 0,
    CONSTRAINT heads_pkey PRIMARY KEY (tenant_id),
    CONSTRAINT heads_floor_check CHECK (floor BETWEEN 0 AND head)
) WITH (fillfactor = 40);
COMMENT ON TABLE app.heads IS 'Per tenant the last number given (head) and the last one pruned (floor). Room on each page keeps the counter''s updates in place.';
COMMENT ON CONSTRAINT heads_pkey ON app.heads IS 'The counter that app.number_commit() raises; log.head.';
COMMENT ON CONSTRAINT heads_floor_check ON app.heads IS 'Nothing is pruned that has not happened.';

CREATE TABLE app.commits (
    tenant_id  uuid        NOT NULL,
    number     bigint      NOT NULL,
    xid        xid8        NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor_id   uuid,
    session_id uuid,
    ip         inet,
    request_id text,
    CONSTRAINT commits_pkey PRIMARY KEY (tenant_id, number),
    CONSTRAINT commits_tenant_id_xid_key UNIQUE (tenant_id, xid)
);
COMMENT ON TABLE app.commits IS 'One row per tenant and transaction that changed something: its number, and who did it from where.';
COMMENT ON CONSTRAINT commits_pkey ON app.commits IS 'Reading a tenant''s stream in order.';
COMMENT ON CONSTRAINT commits_tenant_id_xid_key ON app.commits IS 'A transaction has one number per tenant.';

CREATE TABLE app.changes (
    tenant_id  uuid    NOT NULL,
    xid        xid8    NOT NULL DEFAULT pg_current_xact_id(),
    ordinal    integer NOT NULL,
    table_name text    NOT NULL,
    operation  text    NOT NULL,
    row_id     uuid    NOT NULL,
    columns    text[],
    CONSTRAINT changes_pkey PRIMARY KEY (tenant_id, xid, ordinal),
    CONSTRAINT changes_operation_check CHECK (operation IN ('insert', 'update', 'delete'))
);
COMMENT ON TABLE app.changes IS 'One row per changed row: table, operation, id, and for updates the names of the changed columns. Never a value.';
COMMENT ON CONSTRAINT changes_pkey ON app.changes IS 'The changes of one commit in order; the next ordinal in app.record_changes().';
COMMENT ON CONSTRAINT changes_operation_check ON app.changes IS 'What can happen to a row.';

-- The serving role reads its own tenant's log and writes nothing; the owner's functions are not bound to what is bound at COMMIT.
ALTER TABLE app.heads ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.heads FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.heads TO quarry_app
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
CREATE POLICY log ON app.heads TO quarry_owner USING (true) WITH CHECK (true);
ALTER TABLE app.commits ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.commits FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.commits TO quarry_app
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
CREATE POLICY log ON app.commits TO quarry_owner USING (true) WITH CHECK (true);
ALTER TABLE app.changes ENABLE ROW LEVEL SECURITY;
ALTER TABLE app.changes FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON app.changes TO quarry_app
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
CREATE POLICY log ON app.changes TO quarry_owner USING (true) WITH CHECK (true);
GRANT SELECT ON app.heads, app.commits, app.changes TO quarry_app;

-- Called by each table's record trigger with one array element per changed row; changed holds the names of the
-- changed columns, joined by commas, or is null. Ordinals count up per tenant within the transaction.
CREATE FUNCTION app.record_changes(changed_table text, operation text, tenants uuid[], ids uuid[], changed text[]) RETURNS void
    LANGUAGE sql
    SET search_path = ''
AS $$
    INSERT INTO app.changes (tenant_id, ordinal, table_name, operation, row_id, columns)
    SELECT r.tenant_id,
           coalesce(last.ordinal, 0) + row_number() OVER (PARTITION BY r.tenant_id ORDER BY r.position),
           changed_table, operation, r.id, string_to_array(r.columns, ',')
      FROM unnest(tenants, ids, changed) WITH ORDINALITY AS r (tenant_id, id, columns, position)
      LEFT JOIN (SELECT c.tenant_id, max(c.ordinal) AS ordinal
                   FROM app.changes AS c
                  WHERE c.xid = pg_current_xact_id()
                    AND c.tenant_id = ANY (ARRAY(SELECT DISTINCT t FROM unnest(tenants) AS t))
                  GROUP BY c.tenant_id) AS last ON last.tenant_id = r.tenant_id
$$;
COMMENT ON FUNCTION app.record_changes(text, text, uuid[], uuid[], text[]) IS 'Writes the changed rows of one statement to the log.';

-- At commit, once per tenant and transaction: the tenant's next number. The number reaches the client during COMMIT as
-- an INFO message (TN900: tenant, number, xid), at no extra round trip. Who and where come from transaction settings.
CREATE FUNCTION app.number_commit() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    taken bigint;
BEGIN
    UPDATE app.heads SET head = head + 1 WHERE tenant_id = NEW.tenant_id RETURNING head INTO taken;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'tenant % has no stream', NEW.tenant_id USING ERRCODE = 'TN003';
    END IF;
    INSERT INTO app.commits (tenant_id, number, xid, actor_id, session_id, ip, request_id)
    VALUES (NEW.tenant_id, taken, NEW.xid,
            nullif(current_setting('app.actor_id', true), '')::uuid,
            nullif(current_setting('app.session_id', true), '')::uuid,
            nullif(current_setting('app.ip', true), '')::inet,
            nullif(current_setting('app.request_id', true), ''));
    RAISE INFO 'commit % % %', NEW.tenant_id, taken, NEW.xid USING ERRCODE = 'TN900';
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION app.number_commit() IS 'Gives a committing transaction its tenant''s next number.';
CREATE CONSTRAINT TRIGGER number_commit AFTER INSERT ON app.changes
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.ordinal = 1) EXECUTE FUNCTION app.number_commit();

-- Every tenant has a stream from its first moment.
CREATE FUNCTION app.open_stream() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    INSERT INTO app.heads (tenant_id) VALUES (NEW.id) ON CONFLICT (tenant_id) DO NOTHING;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION app.open_stream() IS 'Creates the counter of a new tenant.';
CREATE TRIGGER open_stream AFTER INSERT ON app.tenants
    FOR EACH ROW EXECUTE FUNCTION app.open_stream();

CREATE FUNCTION app.record_tenants() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
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
CREATE TRIGGER record_insert AFTER INSERT ON app.tenants
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION app.record_tenants();
CREATE TRIGGER record_update AFTER UPDATE ON app.tenants
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION app.record_tenants();
CREATE TRIGGER record_delete AFTER DELETE ON app.tenants
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION app.record_tenants();

-- The heads of several tenants at once, for the poll that finds new commits without being any tenant.
CREATE FUNCTION app.heads(tenants uuid[]) RETURNS TABLE (tenant_id uuid, head bigint, floor bigint)
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = ''
AS $$
    SELECT h.tenant_id, h.head, h.floor FROM app.heads AS h WHERE h.tenant_id = ANY (tenants)
$$;
COMMENT ON FUNCTION app.heads(uuid[]) IS 'Polling: numbers only, no content of any tenant.';
GRANT EXECUTE ON FUNCTION app.heads(uuid[]) TO quarry_app;

CREATE TABLE app.installation (
    only_row          boolean     NOT NULL DEFAULT true,
    epoch             integer     NOT NULL DEFAULT 1,
    system_identifier bigint      NOT NULL,
    timeline          integer     NOT NULL,
    created_at        timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT installation_pkey PRIMARY KEY (only_row),
    CONSTRAINT installation_only_row_check CHECK (only_row),
    CONSTRAINT installation_epoch_check CHECK (epoch > 0)
);
COMMENT ON TABLE app.installation IS 'Which life of the database this is: numbers of another epoch mean nothing here.';
COMMENT ON CONSTRAINT installation_pkey ON app.installation IS 'log.installation reads the only row.';
COMMENT ON CONSTRAINT installation_only_row_check ON app.installation IS 'There is one row.';
COMMENT ON CONSTRAINT installation_epoch_check ON app.installation IS 'Epochs count from 1.';
GRANT SELECT ON app.installation TO quarry_app, quarry_platform;
INSERT INTO app.installation (system_identifier, timeline)
SELECT s.system_identifier, c.timeline_id FROM pg_control_system() AS s, pg_control_checkpoint() AS c;
