"""Catalogs that do not keep tenants apart: what the lint must say of each, and the ways to get there."""

from __future__ import annotations

_OWN = "(tenant_id = app.current_tenant())"
_DEFINER = "CREATE FUNCTION quarry.peek() RETURNS integer LANGUAGE sql SECURITY DEFINER"
_USERS = "SELECT * FROM quarry.users"


def _policy(where: str, roles: str = "public", using: str = _OWN, check: str = _OWN, kind: str = "permissive") -> str:
    return f"policy_not_canonical: {where}: {kind} for * to {roles} using {using} check {check}"


def _record_delete(definition: str) -> str:
    """The trigger of users made again."""
    return f"DROP TRIGGER record_delete ON quarry.users; CREATE TRIGGER record_delete {definition}"


def _number_shared(definition: str) -> str:
    """The trigger of niches made again."""
    return f"DROP TRIGGER number_shared ON app.niches; CREATE TRIGGER number_shared {definition}"


def _refuse_truncate(definition: str) -> str:
    """The trigger of users made again."""
    return f"DROP TRIGGER refuse_truncate ON quarry.users; CREATE TRIGGER refuse_truncate {definition}"


BREAKS: dict[str, list[str]] = {
    "role_bypasses_policies: quarry_app": ["ALTER ROLE quarry_app BYPASSRLS", "ALTER ROLE quarry_app REPLICATION"],
    "role_may_become_owner: quarry.users": ["GRANT quarry_owner TO quarry_app"],
    "role_may_become_owner: app.niches": ["ALTER TABLE app.niches OWNER TO quarry_app"],
    "role_may_become_superuser: quarry_app": ["ALTER ROLE quarry_app CREATEROLE"],
    "role_may_become_superuser: quarry_backup": ["GRANT quarry_backup TO quarry_app"],
    "role_may_become_superuser: pg_read_server_files": ["GRANT pg_read_server_files TO quarry_app"],
    "role_shares_policy: app.tenants platform": ["GRANT quarry_platform TO quarry_app"],
    "table_without_tenant: quarry.stray": [
        "CREATE TABLE quarry.stray (id uuid PRIMARY KEY)",
        (
            "CREATE TABLE quarry.stray (id uuid PRIMARY KEY); GRANT INSERT ON quarry.stray TO PUBLIC;"
            "ALTER EXTENSION plpgsql ADD TABLE quarry.stray"
        ),
    ],
    "policies_not_forced: quarry.users": [
        "ALTER TABLE quarry.users NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE quarry.users DISABLE ROW LEVEL SECURITY",
    ],
    "policies_not_forced: app.tenants": ["ALTER TABLE app.tenants DISABLE ROW LEVEL SECURITY"],
    "policies_not_forced: app.changes": ["ALTER TABLE app.changes NO FORCE ROW LEVEL SECURITY"],
    "policies_not_forced: app.cursors": ["ALTER TABLE app.cursors DISABLE ROW LEVEL SECURITY"],
    "tenant_nullable: quarry.otps": [
        "ALTER TABLE quarry.otps DROP CONSTRAINT otps_pkey, ALTER tenant_id DROP NOT NULL"
    ],
    "tenant_without_default: quarry.otps": [
        "ALTER TABLE quarry.otps ALTER tenant_id DROP DEFAULT",
        "ALTER TABLE quarry.otps ALTER tenant_id SET DEFAULT gen_random_uuid()",
    ],
    "policy_missing: quarry.users": ["DROP POLICY tenant ON quarry.users"],
    _policy("quarry.users tenant", using="true"): ["ALTER POLICY tenant ON quarry.users USING (true)"],
    _policy("quarry.users tenant", check="true"): ["ALTER POLICY tenant ON quarry.users WITH CHECK (true)"],
    _policy("quarry.users tenant", "quarry_app"): ["ALTER POLICY tenant ON quarry.users TO quarry_app"],
    _policy("quarry.users stray", kind="restrictive"): [
        f"CREATE POLICY stray ON quarry.users AS RESTRICTIVE USING {_OWN} WITH CHECK {_OWN}"
    ],
    _policy("app.heads tenant", "quarry_app", using="true"): ["ALTER POLICY tenant ON app.heads USING (true)"],
    _policy("app.cursors tenant", "quarry_app", using="true"): ["ALTER POLICY tenant ON app.cursors USING (true)"],
    _policy("app.commits log", using="true", check="true"): ["ALTER POLICY log ON app.commits TO PUBLIC"],
    _policy("app.tenants platform", "quarry_app", using="true", check="true"): [
        "ALTER POLICY platform ON app.tenants TO quarry_app"
    ],
    "several_policies: quarry.users": [f"CREATE POLICY stray ON quarry.users USING {_OWN} WITH CHECK {_OWN}"],
    "unique_without_tenant: quarry.users stray": [
        "CREATE UNIQUE INDEX stray ON quarry.users (email)",
        "CREATE UNIQUE INDEX stray ON quarry.users (email) INCLUDE (tenant_id)",
        "ALTER TABLE quarry.users ADD CONSTRAINT stray EXCLUDE USING btree (email WITH =)",
    ],
    "key_without_tenant_first: quarry.otps": [
        "ALTER TABLE quarry.otps DROP CONSTRAINT otps_pkey",
        "ALTER TABLE quarry.otps DROP CONSTRAINT otps_pkey, ADD PRIMARY KEY (id, tenant_id)",
    ],
    "reference_without_tenant: quarry.contents stray": [
        (
            "ALTER TABLE quarry.contents ADD CONSTRAINT stray"
            " FOREIGN KEY (campaign_id, tenant_id) REFERENCES quarry.users (tenant_id, id)"
        )
    ],
    "dangerous_privilege: quarry.users TRUNCATE": ["GRANT TRUNCATE ON quarry.users TO quarry_app"],
    "dangerous_privilege: quarry.users TRIGGER": ["GRANT TRIGGER ON quarry.users TO PUBLIC"],
    "dangerous_privilege: quarry.users REFERENCES": [
        "GRANT REFERENCES ON quarry.users TO quarry_app",
        "GRANT REFERENCES (email) ON quarry.users TO quarry_app",
    ],
    "tenant_may_be_moved: quarry.users": ["GRANT UPDATE (tenant_id) ON quarry.users TO quarry_app"],
    "tenant_may_be_moved: app.tenants": ["GRANT UPDATE ON app.tenants TO quarry_app"],
    "platform_table_writable: app.changes": [
        "GRANT INSERT ON app.changes TO quarry_app",
        "GRANT INSERT (row_id) ON app.changes TO PUBLIC",
        "GRANT DELETE ON app.changes TO quarry_app",
    ],
    "platform_table_writable: app.heads": ["GRANT UPDATE (head) ON app.heads TO quarry_app"],
    "platform_table_writable: app.installation": ["GRANT UPDATE (shared_number) ON app.installation TO quarry_app"],
    "platform_table_writable: app.niches": ["GRANT UPDATE ON app.niches TO quarry_app"],
    "view_with_owner_rights: peek": [
        f"CREATE VIEW quarry.peek AS {_USERS}; GRANT {privilege} ON quarry.peek TO quarry_app"
        for privilege in ("SELECT", "SELECT (email)", "INSERT", "UPDATE (email)", "DELETE")
    ],
    "materialized_view_readable: peek": [
        f"CREATE MATERIALIZED VIEW quarry.peek AS {_USERS}; GRANT {privilege} ON quarry.peek TO quarry_app"
        for privilege in ("SELECT", "SELECT (email)")
    ],
    "foreign_table_readable: peek": [
        "CREATE FOREIGN DATA WRAPPER stray; CREATE SERVER stray FOREIGN DATA WRAPPER stray;"
        f"CREATE FOREIGN TABLE quarry.peek (id uuid) SERVER stray; GRANT {privilege} ON quarry.peek TO quarry_app"
        for privilege in ("SELECT", "SELECT (id)")
    ],
    "definer_function_of_bypassing_owner: peek()": [
        f"{_DEFINER} SET search_path = '' AS 'SELECT 1'",
        (
            "CREATE FUNCTION quarry.peek() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = ''"
            " AS 'BEGIN END'; REVOKE ALL ON FUNCTION quarry.peek() FROM PUBLIC;"
            "CREATE TRIGGER stray AFTER INSERT ON quarry.users FOR EACH ROW EXECUTE FUNCTION quarry.peek()"
        ),
    ],
    "definer_function_without_search_path: peek()": [f"SET LOCAL ROLE quarry_owner; {_DEFINER} AS 'SELECT 1'"],
    "index_on_leaking_operator: app.stray features": ["CREATE INDEX stray ON app.tenants (features)"],
    "partition_unguarded: quarry.part": [
        (
            "CREATE TABLE quarry.stray (tenant_id uuid DEFAULT app.current_tenant(), id uuid,"
            " PRIMARY KEY (tenant_id, id)) PARTITION BY HASH (id);"
            "CREATE TABLE quarry.part PARTITION OF quarry.stray FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
            "GRANT SELECT ON quarry.part TO quarry_app"
        )
    ],
    "published_table: quarry.users stray": ["CREATE PUBLICATION stray FOR TABLE quarry.users"],
    "published_table: app.tenants stray": ["CREATE PUBLICATION stray FOR TABLE app.tenants"],
    "role_setting_dangerous: app.tenant_id": [
        "ALTER ROLE quarry_app SET app.tenant_id = '00000000-0000-0000-0000-000000000000'"
    ],
    "role_setting_dangerous: row_security": ["ALTER ROLE quarry_app SET row_security = off"],
    "role_setting_dangerous: search_path": [
        "ALTER ROLE quarry_app SET search_path = public, pg_temp, quarry",
        "DO $$ BEGIN EXECUTE format('ALTER ROLE quarry_app IN DATABASE %I SET search_path = public', current_database()); END $$",
    ],
    "role_setting_dangerous: default_transaction_read_only": [
        "ALTER ROLE quarry_app SET default_transaction_read_only = on"
    ],
    "large_object_written: 4711": ["SELECT lo_create(4711); ALTER LARGE OBJECT 4711 OWNER TO quarry_app"],
    "encoding_not_unicode: LATIN1": ["UPDATE pg_database SET encoding = 8 WHERE datname = current_database()"],
    "schema_writable: quarry": ["GRANT CREATE ON SCHEMA quarry TO quarry_app"],
    "commits_not_numbered: app.changes": [
        "DROP TRIGGER number_commit ON app.changes",
        "ALTER TABLE app.changes DISABLE TRIGGER number_commit",
        "ALTER TABLE app.changes ENABLE REPLICA TRIGGER number_commit",
    ],
    "stream_not_opened: app.tenants": ["ALTER TABLE app.tenants DISABLE TRIGGER open_stream"],
    "shared_not_numbered: app.niches": [
        "DROP TRIGGER number_shared ON app.niches",
        "ALTER TABLE app.niches DISABLE TRIGGER number_shared",
        "ALTER TABLE app.niches ENABLE REPLICA TRIGGER number_shared",
        _number_shared(
            "AFTER INSERT OR UPDATE OR TRUNCATE ON app.niches FOR EACH STATEMENT EXECUTE FUNCTION app.number_shared()"
        ),
        _number_shared(
            "AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON app.niches"
            " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION app.number_shared()"
        ),
    ],
    "truncate_not_refused: app.tenants": ["DROP TRIGGER refuse_truncate ON app.tenants"],
    "truncate_not_refused: quarry.users": [
        "DROP TRIGGER refuse_truncate ON quarry.users",
        "DROP FUNCTION app.refuse_truncate() CASCADE",
        "ALTER TABLE quarry.users DISABLE TRIGGER refuse_truncate",
        "ALTER TABLE quarry.users ENABLE REPLICA TRIGGER refuse_truncate",
        _refuse_truncate("AFTER TRUNCATE ON quarry.users FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate()"),
        _refuse_truncate("BEFORE TRUNCATE ON quarry.users FOR EACH STATEMENT EXECUTE FUNCTION app.fold_name()"),
        _refuse_truncate(
            "BEFORE TRUNCATE ON quarry.users FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION app.refuse_truncate()"
        ),
    ],
    "changes_not_recorded: quarry.users": [
        "DROP TRIGGER record_delete ON quarry.users",
        "ALTER TABLE quarry.users DISABLE TRIGGER record_update",
        "ALTER TABLE quarry.users DISABLE TRIGGER ALL",
        "ALTER TABLE quarry.users ENABLE REPLICA TRIGGER record_insert",
        _record_delete(
            "AFTER INSERT ON quarry.users REFERENCING NEW TABLE AS new_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_users()"
        ),
        _record_delete(
            "AFTER DELETE ON quarry.users REFERENCING OLD TABLE AS old_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION quarry.record_brands()"
        ),
        _record_delete(
            "AFTER DELETE ON quarry.users REFERENCING OLD TABLE AS old_rows"
            " FOR EACH STATEMENT WHEN (false) EXECUTE FUNCTION quarry.record_users()"
        ),
    ],
    "version_not_raised: quarry.users": [
        "ALTER TABLE quarry.users DISABLE TRIGGER touch",
        (
            "DROP TRIGGER touch ON quarry.users;"
            "CREATE TRIGGER touch AFTER UPDATE ON quarry.users FOR EACH ROW EXECUTE FUNCTION app.touch()"
        ),
        (
            "DROP TRIGGER touch ON quarry.users;"
            "CREATE TRIGGER touch BEFORE UPDATE ON quarry.users FOR EACH ROW EXECUTE FUNCTION app.fold_name()"
        ),
    ],
    "column_not_recorded: quarry.users.nickname": ["ALTER TABLE quarry.users ADD COLUMN nickname text"],
    "column_not_recorded: quarry.users.email": [
        (
            "DO $$ BEGIN EXECUTE replace(pg_get_functiondef('quarry.record_users'::regproc),"
            " 'n.email IS DISTINCT FROM o.email', 'false'); END $$"
        )
    ],
    "recorded_column_missing: quarry.campaigns.description": ["ALTER TABLE quarry.campaigns DROP COLUMN description"],
}

FOLLOWS = {
    "role_bypasses_policies": {"role_may_become_superuser"},
    "role_may_become_owner": {
        *("role_may_become_owner", "role_shares_policy", "dangerous_privilege", "platform_table_writable"),
    },
    "role_shares_policy": {"role_shares_policy"},
    "tenant_nullable": {"key_without_tenant_first"},
    "truncate_not_refused": {"truncate_not_refused"},
    "partition_unguarded": {"policies_not_forced", "policy_missing", "changes_not_recorded"},
}
"""What can't be broken without breaking more: the codes of what else is found."""

SOUND = (
    "SELECT 1",
    f"CREATE VIEW quarry.peek WITH (security_invoker) AS {_USERS}; GRANT SELECT ON quarry.peek TO quarry_app",
    f"CREATE VIEW quarry.peek AS {_USERS}",
    "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.anything (id integer)",
    (
        f"CREATE SCHEMA elsewhere; CREATE VIEW elsewhere.peek AS {_USERS}; GRANT SELECT ON elsewhere.peek TO PUBLIC;"
        f"CREATE MATERIALIZED VIEW elsewhere.kept AS {_USERS}; GRANT SELECT ON elsewhere.kept TO PUBLIC;"
        "CREATE FUNCTION elsewhere.act() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
    ),
    (
        "CREATE VIEW quarry.pg_stat_statements AS SELECT 1 AS calls; GRANT SELECT ON quarry.pg_stat_statements TO PUBLIC;"
        "ALTER EXTENSION plpgsql ADD VIEW quarry.pg_stat_statements;"
        "CREATE TABLE quarry.spatial_ref_sys (id integer); GRANT SELECT ON quarry.spatial_ref_sys TO PUBLIC;"
        "ALTER EXTENSION plpgsql ADD TABLE quarry.spatial_ref_sys"
    ),
    "ALTER ROLE quarry_app SET work_mem = '64MB'",
    "CREATE UNIQUE INDEX fine ON quarry.users (email, tenant_id)",
    "ALTER TABLE quarry.otps ADD COLUMN note text",
    "ALTER TABLE quarry.users ADD COLUMN shout text GENERATED ALWAYS AS (upper(display_name)) STORED",
)
"""Changes that break nothing."""
