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
ALTER TABLE app.installation DROP COLUMN is_read_only, DROP COLUMN purged_at;
