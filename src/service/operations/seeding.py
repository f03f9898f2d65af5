"""Seeds: SQL statements that insert rows for a new installation, for demonstrations or for measurements.

A set of seeds is a directory `seeds/<set>/`; its files run in the order of their names. A statement's scope decides which role
runs the statement. A statement of kind `:many` returns the ids of the set's tenants. Each later statement with the parameter
`:tenant_id` runs once for each of these tenants, in a transaction bound to the tenant. At the end, personal data that the
statements have written as plain text is sealed. The file `truncate.sql` does not insert, but deletes the rows of its set.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any

from service import files
from service.addresses import PoolLimits
from service.database.connection import row_count
from service.database.database import Database
from service.database.diagnosis import open_explained
from service.errors import Forbidden, OperatorError
from service.operations import rotation
from service.personal import keyring
from service.settings.settings import Settings
from service.statements import query_files
from service.statements.statement import TENANT_PARAMETER, Scope, Statement, suggest
from service.tenancy.identity import TenantId
from service.texts import Say
from service.work import Work

_TRUNCATE = "truncate"
_ROLES: Mapping[Scope, Any] = {"tenant": "quarry_app", "platform": "quarry_platform", "owner": "quarry_owner"}
_DEMONSTRATIONS = ("demo", "load")
_LIMITS = PoolLimits(minimum=1, maximum=1, connect_attempts=1, statement_timeout=600.0, query_timeout=600.0)
_PROGRESS_SECONDS = 2.0


def sets() -> list[str]:
    """The names of all sets of seeds."""
    return sorted(path.name for path in files.seeds().iterdir() if path.is_dir())


async def seed(settings: Settings, name: str, say: Say, parameters: Mapping[str, int] | None = None) -> None:
    """Insert the rows of a set. `parameters` are the values of parameters in the set's statements, by name.

    A second call with the same parameters changes nothing. Raises OperatorError if the set is unknown, if it is `demo` or
    `load` and the environment is production, or if the keys of personal data are missing.
    """
    check(settings, name)
    paths = [path for path in sorted(files.seeds(name).glob("*.sql")) if path.stem != _TRUNCATE]
    statements = [statement for path in paths for statement in query_files.read(path).statements.values()]
    await _run(settings, name, statements, say, dict(parameters or {}))


async def truncate(settings: Settings, name: str, say: Say) -> None:
    """Delete the rows of a set. Raises OperatorError for the same reasons as `seed` and, in production, for every set."""
    check_truncation(settings, name)
    statements = query_files.read(files.seeds(name, f"{_TRUNCATE}.sql")).statements.values()
    await _run(settings, name, list(statements), say, {})


def check(settings: Settings, name: str) -> None:
    """Raise OperatorError if there is no set `name`, or if the set may not be run in this environment."""
    if name not in sets():
        raise OperatorError(f"there is no seed set '{name}'", suggest(name, sets()) or f"sets are {', '.join(sets())}")
    if settings.environment == "production" and name in _DEMONSTRATIONS:
        raise OperatorError(f"the set '{name}' is for demonstrations and is refused in production")


def check_truncation(settings: Settings, name: str) -> None:
    """Raise OperatorError if there is no set `name`, or if the environment is production, where no set may be deleted."""
    check(settings, name)
    if settings.environment == "production":
        raise OperatorError("seeds are not truncated in production")


async def _run(
    settings: Settings, name: str, statements: Sequence[Statement], say: Say, parameters: Mapping[str, int]
) -> None:
    tenants: list[TenantId] = []
    async with _databases(settings, {statement.scope for statement in statements}) as databases:
        for statement in statements:
            missing = set(statement.parameters) - parameters.keys() - {TENANT_PARAMETER}
            if missing:
                raise statement.error(f"the seed needs a value for {', '.join(sorted(missing))}")
            bound = tenants if TENANT_PARAMETER in statement.parameters else [None]
            label = f"{name}: {statement.label}"
            rows, told = 0, monotonic()
            for position, tenant in enumerate(bound, 1):
                try:
                    answer = await _execute(databases[statement.scope], statement, tenant, parameters)
                except Forbidden as error:
                    raise statement.error(
                        f"{_ROLES[statement.scope]} may not do that",
                        "grant it in a migration, or write '-- scope: owner'",
                    ) from error
                rows += answer if isinstance(answer, int) else len(answer)
                if not isinstance(answer, int):
                    tenants = answer
                if monotonic() - told > _PROGRESS_SECONDS:
                    say(f"{label} {position}/{len(bound)} tenants, {rows} rows")
                    told = monotonic()
            say(f"{label} {rows} rows")
        if "tenant" in databases:
            report = await rotation.seal(databases["tenant"], tenants, say, passwords=True)
            for line in report.lines():
                say(f"{name}: {line}")


async def _execute(
    database: Database, statement: Statement, tenant: TenantId | None, parameters: Mapping[str, int]
) -> int | list[TenantId]:
    """Run a statement. Returns the ids of tenants for a statement of kind `:many`, otherwise the number of changed rows."""
    variant = statement.variants[0]
    values = [parameters.get(parameter, tenant) for parameter in variant.parameters]
    async with Work(database, tenant) as work:
        if statement.kind == "many":
            return [TenantId(row["id"]) for row in await work.connection.fetch(variant.text, values)]
        return row_count(await work.connection.execute(variant.text, values))


@asynccontextmanager
async def _databases(settings: Settings, scopes: set[Scope]) -> AsyncIterator[Mapping[Scope, Database]]:
    """A Database with one connection for each of the scopes, by scope. Raises OperatorError with a remedy if connecting fails."""
    async with AsyncExitStack() as stack:
        databases = {}
        for scope in sorted(scopes):
            address = settings.address(_ROLES[scope])
            databases[scope] = await stack.enter_async_context(
                open_explained(
                    address, _LIMITS, schema=settings.database_schema, name="quarry seed",
                    keyring=keyring.load(settings) if scope == "tenant" else None,
                )
            )  # fmt: skip
        yield databases
