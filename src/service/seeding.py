"""Seeds: sets of named statements in `seeds/<set>/`, run in the files' order, each as the role that its scope names.

A `platform` statement of kind `:many` answers the tenants of the set; the `tenant` and `owner` statements after it run
once for each of them, bound to it. `truncate.sql` of a set takes it away again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID

from service import files, queries
from service.addresses import PoolLimits
from service.database import Database
from service.errors import OperatorError
from service.settings import Settings
from service.statements import TENANT_PARAMETER, Scope, Statement, suggest
from service.tenancy.identity import TenantId
from service.work import Work

_TRUNCATE = "truncate"
_ROLES: Mapping[Scope, Any] = {"tenant": "quarry_app", "platform": "quarry_platform", "owner": "quarry_owner"}
_DEMONSTRATIONS = ("demo", "load")
_LIMITS = PoolLimits(minimum=0, maximum=1, statement_timeout=600.0, query_timeout=600.0)

Say = Callable[[str], None]


def sets() -> list[str]:
    """The names of the sets."""
    return sorted(path.name for path in files.seeds().iterdir() if path.is_dir())


async def seed(settings: Settings, name: str, say: Say, parameters: Mapping[str, int] | None = None) -> None:
    """Run a set; repeating it changes nothing. Raises OperatorError for an unknown set, and demo data in production."""
    _check(settings, name)
    paths = [path for path in sorted(files.seeds(name).glob("*.sql")) if path.stem != _TRUNCATE]
    async with _databases(settings) as databases:
        await _run(
            databases, name, [s for path in paths for s in queries.read(path).statements.values()], say, parameters
        )


async def truncate(settings: Settings, name: str, say: Say) -> None:
    """Take a set away again. Raises OperatorError as `seed` does, and in production for every set."""
    _check(settings, name)
    if settings.environment == "production":
        raise OperatorError("seeds are not truncated in production")
    path = files.seeds(name, f"{_TRUNCATE}.sql")
    async with _databases(settings) as databases:
        await _run(databases, name, list(queries.read(path).statements.values()), say, None)


def _check(settings: Settings, name: str) -> None:
    if name not in sets():
        raise OperatorError(f"there is no seed set '{name}'", suggest(name, sets()))
    if settings.environment == "production" and name in _DEMONSTRATIONS:
        raise OperatorError(f"the set '{name}' is for demonstrations and is refused in production")


async def _run(
    databases: Mapping[Scope, Database], name: str, statements: list[Statement], say: Say,
    parameters: Mapping[str, int] | None,
) -> None:  # fmt: skip
    values = dict(parameters or {})
    tenants: list[UUID] = []
    for statement in statements:
        variant = statement.variants[0]
        missing = set(statement.parameters) - values.keys() - {TENANT_PARAMETER}
        if missing:
            raise statement.error(f"the seed needs a value for {', '.join(sorted(missing))}")
        bound = tenants if TENANT_PARAMETER in statement.parameters else [None]
        rows = 0
        for position, tenant in enumerate(bound, 1):
            async with Work(databases[statement.scope], None if tenant is None else TenantId(tenant)) as work:
                arguments = [values.get(parameter, tenant) for parameter in variant.parameters]
                answer = await work.connection.fetch(variant.text, arguments)
            rows += len(answer)
            if statement.kind == "many":
                tenants = [row["id"] for row in answer]
            if len(bound) > 10 and position % (len(bound) // 10) == 0:
                say(
                    f"{name}: {statement.place.path.stem}.{statement.name} {position}/{len(bound)} tenants, {rows} rows"
                )
        say(f"{name}: {statement.place.path.stem}.{statement.name} {rows} rows")


@asynccontextmanager
async def _databases(settings: Settings) -> AsyncIterator[Mapping[Scope, Database]]:
    async with AsyncExitStack() as stack:
        yield {
            scope: await stack.enter_async_context(
                Database.open(settings.address(role), _LIMITS, schema=settings.database_schema, name="quarry seed")
            )
            for scope, role in _ROLES.items()
        }
