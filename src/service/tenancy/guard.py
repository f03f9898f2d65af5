"""The guard: checks of the catalog. They show whether the schema keeps tenants apart, and whether the log records every change.

The guard runs at start-up, after migrations, in the health report and in the tests. If it finds a broken rule, the service does
not start. The rules are queries in `sql/checks/`. Exceptions are listed here and in service/tables.py, with reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from service import files, tables
from service.database.connection import Connection
from service.errors import OperatorError
from service.personal.keyring import Keyring

_OWN = "tenant: permissive for * to quarry_app using ({0} = app.current_tenant()) check ({0} = app.current_tenant())"
_ALL = "permissive for * to {} using true check true"
_PLATFORM = _ALL.format("quarry_owner, quarry_platform")

_REASONS: Mapping[tuple[str, str], str] = {
    **{("table_without_tenant", name): each.shared for name, each in tables.TABLES.items() if each.shared},
    ("table_without_tenant", "app.installation"): "one row about the database itself",
    ("tenant_without_default", "app.tenants"): "a tenant is its own tenant, and a new one has a new id",
    ("unique_without_tenant", "app.tenants app.tenants_domain_key"): "a host name leads to one tenant",
    ("policy_not_canonical", f"app.tenants {_OWN.format('id')}"): "the same predicate on id, for the serving role",
    ("policy_not_canonical", f"app.tenants platform: {_PLATFORM}"): "the platform's work is about all tenants",
    ("platform_table_writable", "app.cursors"): "consumers move their own places, tenant by tenant",
    ("several_policies", "app.tenants"): "one for the serving role, one for the platform",
    ("unique_without_tenant", "app.schemas app.schemas_name_key"): "a schema belongs to one tenant",
    (
        "policy_not_canonical",
        f"app.schemas {_OWN.format('tenant_id')}",
    ): "the same predicate, for the serving role alone",
    ("policy_not_canonical", f"app.schemas platform: {_PLATFORM}"): "the platform gives tenants their schemas",
    ("several_policies", "app.schemas"): "one for the serving role, one for the platform",
    **{
        (code, f"app.{table}{suffix}"): reason
        for table in ("heads", "commits", "changes", "cursors")
        for code, suffix, reason in (
            ("tenant_without_default", "", "written by the owner's functions with the row's own tenant"),
            ("policy_not_canonical", f" {_OWN.format('tenant_id')}", "the same predicate, for the serving role alone"),
            ("policy_not_canonical", f" log: {_ALL.format('quarry_owner')}", "numbering depends on no binding"),
            ("several_policies", "", "one for the serving role, one for the owner's functions"),
        )
    },
}

_REMEDY = "serve as quarry_app on a database made by `quarry db roles`, `quarry db create` and `quarry migrate up`"
_NOT_OURS = "if {0} is not Quarry's, REVOKE ALL ON {0} FROM PUBLIC, or move it to a schema that quarry_app can't use"
_REMEDIES: Mapping[str, str] = {
    "table_without_tenant": f"{_NOT_OURS}; if it is, give it a tenant_id and a policy (quarry migrate new --table)",
    "view_with_owner_rights": f"{_NOT_OURS}; if it is, ALTER VIEW {{0}} SET (security_invoker = true)",
    "materialized_view_readable": _NOT_OURS,
    "foreign_table_readable": _NOT_OURS,
    "definer_function_of_bypassing_owner": "ALTER FUNCTION {0} OWNER TO quarry_owner, or REVOKE EXECUTE ON {0} FROM PUBLIC",
    "definer_function_without_search_path": "ALTER FUNCTION {0} SET search_path = <its schema>, pg_temp",
    "published_table": "take the table of {0} out of the publication: it carries rows of all tenants",
    "role_setting_dangerous": "find out who has set it, then ALTER ROLE quarry_app RESET {0}, also IN DATABASE",
    "large_object_written": "find out who has written it, then SELECT lo_unlink({0}) as a superuser, and run `quarry db create`",
    "encoding_not_unicode": "move to a database with ENCODING 'UTF8', as `quarry db create` makes one: docs/moving.md",
    "schema_writable": "REVOKE CREATE ON SCHEMA {0} FROM PUBLIC, quarry_app",
    "temporary_tables_allowed": "REVOKE TEMP ON DATABASE {0} FROM PUBLIC, quarry_app, or run `quarry db create`",
}
"""Keys: codes of findings. Values: the remedy, in which {0} stands for the object. The remedy for all other codes is _REMEDY."""

_BOOKKEEPING = frozenset({"tenant_id", "id", "created_at", "updated_at", "version", "search_name"})
_COMPARED = re.compile(r"n\.(\w+) IS DISTINCT FROM o\.(\w+) THEN '(\w+)'")
_PATCHED = {15: 14, 16: 10, 17: 6, 18: 0}
"""Keys: major versions of PostgreSQL. Values: the first minor version in which known holes in row-level security are closed."""


@dataclass(frozen=True)
class Finding:
    """A broken rule: `code` names the rule, and `object` is the object in the catalog that breaks it."""

    code: str
    object: str

    def __str__(self) -> str:
        return f"{self.code}: {self.object}"


class GuardError(OperatorError):
    """The guard has found a broken rule, or this process has other keys than the database was used with."""


async def inspect(connection: Connection) -> list[Finding]:
    """Check the catalog, with the role of `connection`. Returns all findings except those that _REASONS lists as exceptions."""
    findings = [Finding(*row) for row in await connection.fetch(_check("isolation"), ())]
    findings += [Finding(*row) for row in await connection.fetch(_check("numbering"), ())]
    findings += _tracking(await connection.fetch(_check("tracking"), ()))
    findings += _version(await connection.fetchval("SHOW server_version_num", ()))
    return [finding for finding in findings if (finding.code, finding.object) not in _REASONS]


async def require(connection: Connection) -> None:
    """Raise GuardError, with a remedy for each finding, if `inspect` returns any findings."""
    findings = await inspect(connection)
    if findings:
        raise GuardError(
            f"the database is not safe to serve from: {'; '.join(map(str, findings))}",
            "; ".join(dict.fromkeys(_REMEDIES.get(each.code, _REMEDY).format(each.object) for each in findings)),
        )


async def require_keys(connection: Connection, keys: Keyring) -> None:
    """Raise GuardError if this database was used before with another index key than that of `keys`.

    If it was not used with any index key yet, it records this one (as Keyring.check, which does not reveal the key).
    """
    if await connection.fetchval("SELECT to_regprocedure('app.claim_keys(bytea)') IS NULL", ()):
        return
    if not await connection.fetchval("SELECT app.claim_keys($1)", (keys.check,)):
        raise GuardError(
            "these are not the keys of this database's personal data, or `quarry pii rotate-index` has not come to its end",
            "set the PII_INDEX_KEY (and PII_KEYS) that it was last used with, or the QUARRY_HOME that holds them",
        )


def _check(name: str) -> str:
    return files.sql("checks", f"{name}.sql").read_text(encoding="utf-8")


def _tracking(rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    return [
        Finding(code, f"{name}{column}") for row in rows for code, column in _untracked(row) for name in row["names"]
    ]


def _untracked(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Findings from one row of tracking.sql, as pairs: the code, and `.<column>` if the finding is about a column, else ''."""
    table, source = row["table_name"], row["source"]
    if (f"app.{table}" if row["is_of_app"] else table) in tables.UNTRACKED:
        return
    if source is None:
        yield "changes_not_recorded", ""
        return
    if not row["is_touched"]:
        yield "version_not_raised", ""
    if not row["is_truncate_refused"]:
        yield "truncate_not_refused", ""
    recorded = {column for column, other, label in _COMPARED.findall(source) if column == other == label}
    expected = set(row["columns"]) - _BOOKKEEPING - tables.UNRECORDED.get(table, frozenset())
    yield from (("column_not_recorded", f".{column}") for column in sorted(expected - recorded))
    yield from (("recorded_column_missing", f".{column}") for column in sorted(recorded - expected))


def _version(number: object) -> list[Finding]:
    major, minor = divmod(int(str(number)), 10000)
    if (major in _PATCHED and minor >= _PATCHED[major]) or major > max(_PATCHED):
        return []
    return [Finding("server_version_not_supported", f"{major}.{minor}")]
