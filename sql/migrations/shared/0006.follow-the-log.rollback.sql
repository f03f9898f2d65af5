SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.commit_outcome(uuid, bigint, xid8, bigint);
DROP FUNCTION app.forget_consumer(text);
DROP FUNCTION app.consumer_lag();
DROP FUNCTION app.waiting(text, integer);
DROP TABLE app.cursors;
DROP FUNCTION app.raise_epoch();
DROP FUNCTION app.enter_life();
DROP FUNCTION app.former_xid(xid8, integer);
ALTER TABLE app.installation DROP COLUMN database_oid;
DROP TRIGGER number_shared ON app.niches;
DROP FUNCTION app.number_shared();
ALTER TABLE app.installation DROP COLUMN shared_number;
DROP TRIGGER refuse_truncate ON app.tenants;
DROP FUNCTION app.refuse_truncate();
CREATE OR REPLACE FUNCTION app.record_changes(changed_table text, operation text, tenants uuid[], ids uuid[], changed text[]) RETURNS void
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
CREATE OR REPLACE FUNCTION app.number_commit() RETURNS trigger
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
ALTER FUNCTION app.record_tenants() RESET enable_nestloop;
