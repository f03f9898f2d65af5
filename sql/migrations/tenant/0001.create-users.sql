-- Users: the people of a tenant who sign in.
-- depends:

SET LOCAL lock_timeout = '4s';

CREATE TABLE users (
    tenant_id     uuid        NOT NULL DEFAULT app.current_tenant(),
    id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    email         text        NOT NULL,
    display_name  text        NOT NULL,
    password_hash text        NOT NULL,
    role          text        NOT NULL DEFAULT 'member',
    is_active     boolean     NOT NULL DEFAULT true,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    version       integer     NOT NULL DEFAULT 1,
    deleted_at    timestamptz,
    CONSTRAINT users_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT users_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT users_email_check CHECK (email = lower(email) AND char_length(email) BETWEEN 3 AND 320),
    CONSTRAINT users_display_name_check CHECK (char_length(display_name) BETWEEN 1 AND 200),
    CONSTRAINT users_role_check CHECK (role IN ('owner', 'admin', 'member', 'viewer'))
);
COMMENT ON TABLE users IS 'People who sign in.';
COMMENT ON CONSTRAINT users_pkey ON users IS 'users.find; referenced by sessions and campaigns.';
COMMENT ON CONSTRAINT users_tenant_id_fkey ON users IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT users_email_check ON users IS 'Addresses are stored lower-case, so that equality finds them.';
COMMENT ON CONSTRAINT users_display_name_check ON users IS 'Names have 1 to 200 characters.';
COMMENT ON CONSTRAINT users_role_check ON users IS 'The roles of permissions.py.';
CREATE UNIQUE INDEX users_tenant_id_email_key ON users (tenant_id, email) WHERE deleted_at IS NULL;
COMMENT ON INDEX users_tenant_id_email_key IS 'An address belongs to one live user; users.find_credentials.';
CREATE INDEX users_created_at_idx ON users (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX users_created_at_idx IS 'Page order of users.page.';

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON users
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON users IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON users
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

GRANT SELECT ON users TO quarry_app;
GRANT INSERT (tenant_id, id, email, display_name, password_hash, role, is_active),
      UPDATE (email, display_name, password_hash, role, is_active, deleted_at) ON users TO quarry_app;

CREATE FUNCTION record_users() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('users', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('users', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.email IS DISTINCT FROM o.email THEN 'email' END,
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
COMMENT ON FUNCTION record_users() IS 'Writes changes of users to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON users
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_users();
CREATE TRIGGER record_update AFTER UPDATE ON users
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_users();
CREATE TRIGGER record_delete AFTER DELETE ON users
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_users();

-- A tenant always keeps one active owner. The tenant's row is locked first, so that two owners who remove each other
-- at the same time do so one after the other.
CREATE FUNCTION keep_an_owner() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
DECLARE
    left_over boolean;
BEGIN
    PERFORM FROM app.tenants AS t WHERE t.id = OLD.tenant_id FOR UPDATE;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.users WHERE tenant_id = $1 AND role = ''owner'' AND is_active AND deleted_at IS NULL)', TG_TABLE_SCHEMA)
       INTO left_over USING OLD.tenant_id;
    IF NOT left_over THEN
        RAISE EXCEPTION 'the last owner of a tenant stays' USING ERRCODE = 'TN005';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION keep_an_owner() IS 'The last active owner of a tenant can be neither removed, demoted nor deactivated (TN005).';
CREATE TRIGGER keep_an_owner AFTER UPDATE OF role, is_active, deleted_at ON users
    FOR EACH ROW WHEN (OLD.role = 'owner' AND OLD.is_active AND OLD.deleted_at IS NULL
                       AND NOT (NEW.role = 'owner' AND NEW.is_active AND NEW.deleted_at IS NULL))
    EXECUTE FUNCTION keep_an_owner();
