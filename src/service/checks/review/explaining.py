"""Gets the plan of a statement for `quarry sql explain`, in the configured database and for given parameter values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import asyncpg

from service.checks.entries import Entry
from service.checks.runs.trials import undone
from service.errors import OperatorError
from service.statements.statement import TENANT_PARAMETER, suggest


async def explain(
    connection: Any, entry: Entry, tenant: UUID, values: Mapping[str, str], *, analyze: bool = False
) -> list[str]:
    """The lines that EXPLAIN prints for a statement. EXPLAIN is executed as the statement's role, bound to `tenant`.

    `values` maps the names of the given parameters to their values. An optional line is included if the parameter in its
    `-- when` is given. If a parameter of the resulting text is not given, the plan is generic (it does not depend on values),
    and a line before it names the missing parameters. With `analyze`, the statement is executed and rolled back; no parameter
    of the resulting text may then be missing. Raises OperatorError if this rule is broken, if a parameter is unknown, or if
    PostgreSQL reports an error, for example because a table does not exist or a value does not fit its type.
    """
    statement = entry.statement
    known = [name for name in statement.parameters if name != TENANT_PARAMETER]
    for name in values:
        if name not in known:
            raise OperatorError(f"{entry.label} has no parameter '{name}'", suggest(name, known) if known else "")
    variant = statement.variants[statement.key(values)]
    given = {**values, TENANT_PARAMETER: str(tenant)}
    missing = [name for name in variant.parameters if name not in given]
    if missing and analyze:
        raise OperatorError(f"to run {entry.label} it needs {', '.join(missing)}", "write them as name=value")
    is_prepared = False
    try:
        async with undone(connection):
            await connection.execute(
                f"SET LOCAL ROLE {entry.role}; SET LOCAL app.tenant_id = '{tenant}';"
                f"SET LOCAL plan_cache_mode = {'force_generic_plan' if missing else 'force_custom_plan'}"
            )
            described = (await connection.prepare(variant.text)).get_parameters()
            types = ", ".join(each.name for each in described)
            literals = [await _literal(connection, given.get(name)) for name in variant.parameters]
            await connection.execute(f"PREPARE explained{f' ({types})' if types else ''} AS {variant.text}")
            is_prepared = True
            options = "ANALYZE, BUFFERS, VERBOSE" if analyze else "VERBOSE"
            arguments = f" ({', '.join(literals)})" if literals else ""
            rows = await connection.fetch(f"EXPLAIN ({options}) EXECUTE explained{arguments}")
    except asyncpg.UndefinedTableError as error:
        raise OperatorError(f"{entry.label}: {error.args[0]}", "run `quarry migrate up` first") from error
    except asyncpg.PostgresError as error:
        raise OperatorError(
            f"{entry.label}: {error.args[0]}", "values are written as in SQL, without quotes"
        ) from error
    finally:
        if is_prepared:
            await connection.execute("DEALLOCATE explained")  # A rollback would not remove the prepared statement.
    lines = [row[0] for row in rows]
    return [f"-- generic: {', '.join(missing)} not given", *lines] if missing else lines


async def _literal(connection: Any, value: str | None) -> str:
    return "NULL" if value is None else str(await connection.fetchval("SELECT quote_literal($1::text)", value))
