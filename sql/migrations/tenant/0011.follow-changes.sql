-- What change streams need of tenant tables: sessions whose end is an event, tickets for browsers, no unseen TRUNCATE.
-- depends: 0010.guard-references

SET LOCAL lock_timeout = '4s';

-- Time alone changes no row, so that a session has expired is written down by whoever notices.
ALTER TABLE sessions ADD COLUMN expired_at timestamptz;
GRANT UPDATE (expired_at) ON sessions TO quarry_app;
DROP TRIGGER touch ON sessions;
-- Being seen is not a change: last_seen_at alone raises no version and is not logged.
CREATE TRIGGER touch BEFORE UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id
                       OR OLD.token_hash <> NEW.token_hash OR OLD.ip IS DISTINCT FROM NEW.ip OR OLD.version <> NEW.version
                       OR OLD.user_agent IS DISTINCT FROM NEW.user_agent OR OLD.created_at <> NEW.created_at
                       OR OLD.updated_at <> NEW.updated_at
                       OR OLD.expires_at <> NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at
                       OR OLD.expired_at IS DISTINCT FROM NEW.expired_at) EXECUTE FUNCTION app.touch();
CREATE OR REPLACE FUNCTION record_sessions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
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

CREATE TABLE change_tickets (
    tenant_id   uuid        NOT NULL DEFAULT app.current_tenant(),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    token_hash  bytea       NOT NULL,
    bearer_kind text        NOT NULL,
    bearer_hash bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    CONSTRAINT change_tickets_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT change_tickets_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT change_tickets_tenant_id_token_hash_key UNIQUE (tenant_id, token_hash),
    CONSTRAINT change_tickets_token_hash_check CHECK (octet_length(token_hash) = 32),
    CONSTRAINT change_tickets_bearer_kind_check CHECK (bearer_kind IN ('session', 'key')),
    CONSTRAINT change_tickets_bearer_hash_check CHECK (octet_length(bearer_hash) = 32),
    CONSTRAINT change_tickets_expires_at_check CHECK (expires_at > created_at)
);
COMMENT ON TABLE change_tickets IS 'Tickets that open one change stream each, for browsers whose EventSource can''t send a header.';
COMMENT ON CONSTRAINT change_tickets_pkey ON change_tickets IS 'One row per ticket that has not been used yet.';
COMMENT ON CONSTRAINT change_tickets_tenant_id_fkey ON change_tickets IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT change_tickets_tenant_id_token_hash_key ON change_tickets IS 'change_tickets.redeem; a ticket is used once.';
COMMENT ON CONSTRAINT change_tickets_token_hash_check ON change_tickets IS 'SHA-256 of the secret.';
COMMENT ON CONSTRAINT change_tickets_bearer_kind_check ON change_tickets IS 'Whom it stands for: a session or a key.';
COMMENT ON CONSTRAINT change_tickets_bearer_hash_check ON change_tickets IS 'The hash that finds the session or key, which is asked whether it still holds.';
COMMENT ON CONSTRAINT change_tickets_expires_at_check ON change_tickets IS 'A ticket lives for a minute.';
CREATE INDEX change_tickets_expires_at_idx ON change_tickets (tenant_id, expires_at);
COMMENT ON INDEX change_tickets_expires_at_idx IS 'change_tickets.purge.';

ALTER TABLE change_tickets ENABLE ROW LEVEL SECURITY;
ALTER TABLE change_tickets FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON change_tickets
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON change_tickets IS 'Rows of the bound tenant only, for every role.';

GRANT SELECT, DELETE ON change_tickets TO quarry_app;
GRANT INSERT (tenant_id, id, token_hash, bearer_kind, bearer_hash, expires_at) ON change_tickets TO quarry_app;

CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON api_keys
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON influencers
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON influencer_niches
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON brands
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON brand_niches
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON campaigns
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON contents
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON campaign_influencers
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();

-- Their plans are made with the first statement's rows and kept for statements with many; a nested loop would be quadratic.
ALTER FUNCTION record_users() SET enable_nestloop = off;
ALTER FUNCTION record_sessions() SET enable_nestloop = off;
ALTER FUNCTION record_api_keys() SET enable_nestloop = off;
ALTER FUNCTION record_influencers() SET enable_nestloop = off;
ALTER FUNCTION record_influencer_niches() SET enable_nestloop = off;
ALTER FUNCTION record_brands() SET enable_nestloop = off;
ALTER FUNCTION record_brand_niches() SET enable_nestloop = off;
ALTER FUNCTION record_campaigns() SET enable_nestloop = off;
ALTER FUNCTION record_contents() SET enable_nestloop = off;
ALTER FUNCTION record_campaign_influencers() SET enable_nestloop = off;
