-- Sessions, API keys and failed sign-ins: how people and programs get in.
-- depends: 0001.create-users

SET LOCAL lock_timeout = '4s';

CREATE TABLE sessions (
    tenant_id    uuid        NOT NULL DEFAULT app.current_tenant(),
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    user_id      uuid        NOT NULL,
    token_hash   bytea       NOT NULL,
    ip           inet,
    user_agent   text,
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    version      integer     NOT NULL DEFAULT 1,
    CONSTRAINT sessions_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sessions_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT sessions_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT sessions_tenant_id_token_hash_key UNIQUE (tenant_id, token_hash),
    CONSTRAINT sessions_token_hash_check CHECK (octet_length(token_hash) = 32),
    CONSTRAINT sessions_user_agent_check CHECK (char_length(user_agent) <= 500),
    CONSTRAINT sessions_expires_at_check CHECK (expires_at > created_at)
);
COMMENT ON TABLE sessions IS 'Sign-ins that have not been forgotten yet. The token itself is never stored.';
COMMENT ON CONSTRAINT sessions_pkey ON sessions IS 'sessions.revoke.';
COMMENT ON CONSTRAINT sessions_tenant_id_fkey ON sessions IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT sessions_user_id_fkey ON sessions IS 'The user is of the same tenant.';
COMMENT ON CONSTRAINT sessions_tenant_id_token_hash_key ON sessions IS 'sessions.authenticate; a token names one session.';
COMMENT ON CONSTRAINT sessions_token_hash_check ON sessions IS 'SHA-256 of the secret.';
COMMENT ON CONSTRAINT sessions_user_agent_check ON sessions IS 'Longer ones are cut by the service.';
COMMENT ON CONSTRAINT sessions_expires_at_check ON sessions IS 'A session lives for a while.';
CREATE INDEX sessions_user_id_idx ON sessions (tenant_id, user_id, created_at DESC, id DESC);
COMMENT ON INDEX sessions_user_id_idx IS 'sessions.page, sessions.revoke_others; the foreign key.';

ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sessions
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON sessions IS 'Rows of the bound tenant only, for every role.';
-- Being seen is not a change: last_seen_at alone raises no version and is not logged.
CREATE TRIGGER touch BEFORE UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id
                       OR OLD.token_hash <> NEW.token_hash OR OLD.ip IS DISTINCT FROM NEW.ip OR OLD.version <> NEW.version
                       OR OLD.user_agent IS DISTINCT FROM NEW.user_agent OR OLD.created_at <> NEW.created_at
                       OR OLD.updated_at <> NEW.updated_at
                       OR OLD.expires_at <> NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at) EXECUTE FUNCTION app.touch();

GRANT SELECT, DELETE ON sessions TO quarry_app;
GRANT INSERT (tenant_id, id, user_id, token_hash, ip, user_agent, expires_at),
      UPDATE (last_seen_at, expires_at, revoked_at) ON sessions TO quarry_app;

CREATE FUNCTION record_sessions() RETURNS trigger
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
                CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('sessions', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION record_sessions() IS 'Writes changes of sessions to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON sessions
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_sessions();
CREATE TRIGGER record_update AFTER UPDATE ON sessions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_sessions();
CREATE TRIGGER record_delete AFTER DELETE ON sessions
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_sessions();

CREATE TABLE api_keys (
    tenant_id    uuid        NOT NULL DEFAULT app.current_tenant(),
    id           uuid        NOT NULL DEFAULT gen_random_uuid(),
    name         text        NOT NULL,
    role         text        NOT NULL,
    key_hash     bytea       NOT NULL,
    created_by   uuid        NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    version      integer     NOT NULL DEFAULT 1,
    CONSTRAINT api_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT api_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT api_keys_created_by_fkey FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id),
    CONSTRAINT api_keys_tenant_id_key_hash_key UNIQUE (tenant_id, key_hash),
    CONSTRAINT api_keys_name_check CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT api_keys_role_check CHECK (role IN ('admin', 'member', 'viewer')),
    CONSTRAINT api_keys_key_hash_check CHECK (octet_length(key_hash) = 32)
);
COMMENT ON TABLE api_keys IS 'Keys for programs: shown once, stored hashed, with a role of their own.';
COMMENT ON CONSTRAINT api_keys_pkey ON api_keys IS 'Revoking a key.';
COMMENT ON CONSTRAINT api_keys_tenant_id_fkey ON api_keys IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT api_keys_created_by_fkey ON api_keys IS 'The user is of the same tenant.';
COMMENT ON CONSTRAINT api_keys_tenant_id_key_hash_key ON api_keys IS 'A key names one row.';
COMMENT ON CONSTRAINT api_keys_name_check ON api_keys IS 'Names have 1 to 200 characters.';
COMMENT ON CONSTRAINT api_keys_role_check ON api_keys IS 'A program is never an owner.';
COMMENT ON CONSTRAINT api_keys_key_hash_check ON api_keys IS 'SHA-256 of the secret.';
CREATE INDEX api_keys_created_by_idx ON api_keys (tenant_id, created_by);
COMMENT ON INDEX api_keys_created_by_idx IS 'The foreign key to users.';
CREATE INDEX api_keys_created_at_idx ON api_keys (tenant_id, created_at DESC, id DESC);
COMMENT ON INDEX api_keys_created_at_idx IS 'Page order of api_keys.page.';

ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON api_keys IS 'Rows of the bound tenant only, for every role.';
-- Being used is not a change: last_used_at alone raises no version and is not logged.
CREATE TRIGGER touch BEFORE UPDATE ON api_keys
    FOR EACH ROW WHEN (OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id OR OLD.name <> NEW.name OR OLD.role <> NEW.role
                       OR OLD.key_hash <> NEW.key_hash OR OLD.created_by <> NEW.created_by
                       OR OLD.expires_at IS DISTINCT FROM NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at
                       OR OLD.created_at <> NEW.created_at OR OLD.updated_at <> NEW.updated_at OR OLD.version <> NEW.version) EXECUTE FUNCTION app.touch();

GRANT SELECT, DELETE ON api_keys TO quarry_app;
GRANT INSERT (tenant_id, id, name, role, key_hash, created_by, expires_at),
      UPDATE (last_used_at, revoked_at) ON api_keys TO quarry_app;

CREATE FUNCTION record_api_keys() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
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
COMMENT ON FUNCTION record_api_keys() IS 'Writes changes of api_keys to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON api_keys
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_api_keys();
CREATE TRIGGER record_update AFTER UPDATE ON api_keys
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_api_keys();
CREATE TRIGGER record_delete AFTER DELETE ON api_keys
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_api_keys();

CREATE TABLE sign_in_failures (
    tenant_id  uuid        NOT NULL DEFAULT app.current_tenant(),
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    email_hash bytea       NOT NULL,
    user_id    uuid,
    ip         inet,
    user_agent text,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sign_in_failures_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT sign_in_failures_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT sign_in_failures_user_id_fkey FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT sign_in_failures_email_hash_check CHECK (octet_length(email_hash) = 32),
    CONSTRAINT sign_in_failures_user_agent_check CHECK (char_length(user_agent) <= 500)
);
COMMENT ON TABLE sign_in_failures IS 'Failed sign-ins, for the audit; the address tried is kept as a hash only.';
COMMENT ON CONSTRAINT sign_in_failures_pkey ON sign_in_failures IS 'One row per failed attempt.';
COMMENT ON CONSTRAINT sign_in_failures_tenant_id_fkey ON sign_in_failures IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT sign_in_failures_user_id_fkey ON sign_in_failures IS 'The user is of the same tenant.';
COMMENT ON CONSTRAINT sign_in_failures_email_hash_check ON sign_in_failures IS 'SHA-256 of the address.';
COMMENT ON CONSTRAINT sign_in_failures_user_agent_check ON sign_in_failures IS 'Longer ones are cut by the service.';
CREATE INDEX sign_in_failures_created_at_idx ON sign_in_failures (tenant_id, created_at DESC, id DESC);
COMMENT ON INDEX sign_in_failures_created_at_idx IS 'The audit''s page order, and the purge.';
CREATE INDEX sign_in_failures_user_id_idx ON sign_in_failures (tenant_id, user_id);
COMMENT ON INDEX sign_in_failures_user_id_idx IS 'The foreign key to users.';

ALTER TABLE sign_in_failures ENABLE ROW LEVEL SECURITY;
ALTER TABLE sign_in_failures FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON sign_in_failures
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON sign_in_failures IS 'Rows of the bound tenant only, for every role.';

GRANT SELECT ON sign_in_failures TO quarry_app;
GRANT INSERT (tenant_id, id, email_hash, user_id, ip, user_agent, request_id) ON sign_in_failures TO quarry_app;
