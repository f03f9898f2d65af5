"""Erasure: deletes a tenant with all its rows. Then finds all tables in the database's catalog, and counts the rows left."""

from __future__ import annotations

from dataclasses import dataclass

from service.database import single
from service.database.connection import row_count
from service.database.database import Database
from service.errors import CommitUnknown, Contention, DatabaseError, InUse, NotFound, OperatorError, Timeout
from service.offboarding import access
from service.offboarding.tables import call, statements
from service.repos.tenants import Tenant, TenantStatus
from service.settings.database import DatabaseSettings
from service.tables import OF_APP
from service.tenancy.identity import TenantId
from service.texts import Say
from service.work import Work

_LOCK = "lock"
_AFTERWARDS = ("statistics", "remains")


@dataclass(frozen=True)
class Erased:
    """The result for one table: `rows` is the number of rows deleted, `left` the number of the tenant's rows left in it.

    `table` is the table's name with its schema. `left` is None if this login may not read the table (SELECT).
    """

    table: str
    rows: int
    left: int | None


async def erasable(settings: DatabaseSettings, domain: str) -> Tenant:
    """The tenant with this domain. Raises OperatorError if it does not exist or, in production, if it is active."""
    async with access.database(settings, "quarry_platform") as platform, Work(platform, None, read_only=True) as work:
        try:
            tenant = await work.tenants.lookup(domain)
        except NotFound as error:
            raise access.unknown(domain) from error
    _check(settings, domain, tenant.status)
    return tenant


async def erase(settings: DatabaseSettings, tenant: Tenant, say: Say) -> list[Erased]:
    """Delete a tenant that `erasable` returned, then count the rows that are left of it in each table.

    Raises OperatorError, whose message says whether the tenant was deleted. Raises CommitUnknown if that is not known.
    """
    id, domain = TenantId(tenant.id), tenant.domain
    async with (
        access.database(settings, "quarry_platform") as platform,
        access.database(settings, "quarry_owner") as owner,
    ):
        is_suspended = False
        own = await _own_schema(platform, id)
        try:
            if tenant.status == "active":
                # From now on, new requests of the tenant are refused. The deletion waits for transactions in progress.
                await _set_status(platform, domain, "suspended")
                is_suspended = True
            gone = await Work.run(owner, lambda work: _delete(settings, work, domain, own), id)
        except CommitUnknown:
            raise
        except DatabaseError as error:
            if is_suspended:
                await _resume(platform, domain, say)
            raise _explained(error, domain) from error
        await _renew_statistics(owner, id, say)
        schema = own or settings.database_schema
        tables = {f"{'app' if name in OF_APP else schema}.{name}": gone[name] for name in gone}
        try:
            proof = await _proof(owner, id, tables)
        except DatabaseError as error:
            raise OperatorError(
                f"{domain} has been deleted, but what is left was not counted: {error.message}"
            ) from error
    if own is not None:
        say(f"its schema {own} has been dropped")
    return proof


async def _own_schema(platform: Database, tenant: TenantId) -> str | None:
    async with Work(platform, None, read_only=True) as work:
        return next((each.name for each in await work.tenants.schemas() if each.tenant == tenant), None)


def _check(settings: DatabaseSettings, domain: str, status: TenantStatus) -> None:
    if settings.environment == "production" and status == "active":
        raise OperatorError(
            f"{domain} is active, and production deletes no tenant that is served",
            f"suspend it first: quarry tenants suspend {domain}",
        )


async def _set_status(platform: Database, domain: str, status: TenantStatus) -> None:
    async with Work(platform, None) as work:
        await work.tenants.set_status(domain, status)


async def _resume(platform: Database, domain: str, say: Say) -> None:
    try:
        await _set_status(platform, domain, "active")
    except DatabaseError:
        say(f"{domain} stays suspended; `quarry tenants activate {domain}` serves it again")


async def _delete(settings: DatabaseSettings, work: Work, domain: str, own: str | None) -> dict[str, int]:
    """Delete the tenant's rows and drop its own schema, if it has one. Returns the number of rows deleted, by table."""
    rows = {}
    for name, statement in statements("delete").items():
        if name in _AFTERWARDS:
            continue
        text, values = call(statement, tenant_id=work.tenant)
        if name == _LOCK:
            status = await work.connection.fetchval(text, values)
            if status is None:
                raise access.unknown(domain)
            _check(settings, domain, status)
            continue
        tag = await work.connection.execute(text, values)
        if statement.kind == "count":
            rows[name] = row_count(tag)
    if own not in (None, settings.database_schema):
        await work.connection.execute(f"DROP SCHEMA {single.quoted(own)} CASCADE")
    return rows


def _explained(error: DatabaseError, domain: str) -> OperatorError:
    if isinstance(error, Timeout | Contention):
        return OperatorError(
            f"work of {domain} is in flight and holds rows; nothing was deleted",
            "try again when it has ended; pg_stat_activity shows it",
        )
    if isinstance(error, InUse) and (table := getattr(error.__cause__, "table_name", None)):
        return OperatorError(
            f"nothing of {domain} was deleted: rows of {table} refer to what was to go",
            "delete them before in sql/offboarding/delete.sql, which has to name every table",
        )
    return OperatorError(f"nothing of {domain} was deleted: {error.message}")


async def _renew_statistics(owner: Database, tenant: TenantId, say: Say) -> None:
    try:
        async with Work(owner, tenant) as work:
            await work.connection.execute(*call(statements("delete")["statistics"]))
    except DatabaseError as error:
        say(f"the planner's statistics were not renewed ({error.message}); run ANALYZE")


async def _proof(owner: Database, tenant: TenantId, gone: dict[str, int]) -> list[Erased]:
    """Count the tenant's rows in every table that has a column for the tenant, also in tables that the erasure does not know.

    `gone` contains the numbers of rows deleted, by table.
    """
    async with Work(owner, tenant, read_only=True) as work:
        found = []
        for row in await work.connection.fetch(*call(statements("delete")["remains"], tenant_id=tenant)):
            counting = row["counting"]
            left = None if counting is None else await work.connection.fetchval(counting, ())
            name = f"{row['schema']}.{row['name']}"
            found.append(Erased(name, gone.pop(name, 0), left))
        # The tables that are still in `gone` do not exist any more: they were in the tenant's own schema, which was dropped.
        return [*found, *(Erased(name, rows, 0) for name, rows in sorted(gone.items()))]
