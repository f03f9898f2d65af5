"""Finds what each statement of a migration locks, rewrites and checks.

The statement is run on tables with rows, and the catalog is read inside the same transaction.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from service import files
from service.checks.migrations.scripts import Script, Statement, is_unbound

Fill = Callable[[Any], Awaitable[None]]
"""Inserts rows into all existing tables, on the given connection and in its current transaction.

It runs as the login role and must take no stronger locks than an INSERT does. If the login is a superuser, it can switch off
triggers with `session_replication_role = replica`. The rows must also satisfy the constraints that later migrations add.
"""

OWNER = "quarry_owner"
_MODES = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"),
    *("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
)
_STRONG = {mode: strength for strength, mode in enumerate(_MODES) if mode not in _MODES[:3]}


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key whose existing rows the server checked. `forced` has those of its two tables whose policies were forced."""

    name: str
    forced: tuple[str, ...]
    is_unbound: bool
    """Whether the check failed with TN001 while no tenant was bound. With a tenant bound that has no rows, it passed wrongly."""


@dataclass(frozen=True)
class Step:
    """One statement of a migration, and what it did to tables that were there before the migration.

    `locks` maps such a table to the strongest lock that this statement added, if it is stronger than that of an UPDATE.
    """

    migration: str
    statement: Statement
    locks: Mapping[str, str]
    rewritten: tuple[str, ...] = ()
    indexes: tuple[tuple[str, str], ...] = ()
    """The indexes that were built while writers waited, each as table and name."""
    references: tuple[ForeignKey, ...] = ()
    unforced: tuple[str, ...] = ()
    """The tables whose policies were forced before the migration and are not forced after this statement."""
    waits_forever: bool = False
    error: str = ""
    """The server's message if it refused the statement; this is the last step then."""

    @property
    def line(self) -> int:
        """The statement's line in the migration's file, from 1."""
        return self.statement.line

    @property
    def words(self) -> str:
        """The beginning of the statement, in one line."""
        return self.statement.words


@dataclass(frozen=True)
class _State:
    """The result of `migration_state.sql`. Tables are identified by their OIDs."""

    locks: frozenset[tuple[int, str]]
    files: Mapping[int, int]
    indexes: frozenset[tuple[int, str]]
    references: frozenset[tuple[str, int, int]]
    forced: Mapping[int, str]


async def trace(connection: Any, script: Script, fill: Fill) -> list[Step]:
    """Run a migration statement by statement on filled tables, then undo both the migration and the rows.

    A migration outside a transaction can't be undone: it is run on the tables as they are, and stays applied. The current
    role of the connection must be the owner, and its login must be allowed to SET ROLE to the owner.
    """
    tracer = await _Tracer.of(connection, script)
    if not script.is_transactional:
        return await tracer.steps(outside=True)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL ROLE NONE")
        await fill(connection)
        # Pending events of deferred triggers would make DDL fail.
        await connection.execute(
            "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
            # Only if it differs, because a login that may not change this setting may not reset it either.
            "SELECT set_config('session_replication_role', 'origin', true)"
            " WHERE current_setting('session_replication_role') <> 'origin';"
            f"SET LOCAL ROLE {OWNER}"
        )
        return await tracer.steps(outside=False)
    finally:
        await transaction.rollback()


class _Tracer:
    def __init__(self, connection: Any, script: Script, tables: Mapping[int, str]) -> None:
        self._connection, self._script, self._tables = connection, script, tables

    @classmethod
    async def of(cls, connection: Any, script: Script) -> _Tracer:
        rows = await connection.fetch(_sql("migration_tables"))
        return cls(connection, script, {row["oid"]: row["name"] for row in rows})

    async def steps(self, *, outside: bool) -> list[Step]:
        found: list[Step] = []
        state = self._first = await self._state()
        if any(mode in _STRONG for _, mode in state.locks):
            raise ValueError("fill holds locks that would hide those of the migration")
        for statement in self._script.statements:
            waits_forever = await self._connection.fetchval("SELECT current_setting('lock_timeout')") == "0"
            try:
                before, (state, is_alone, is_unbound) = state, await self._run(statement, outside=outside)
            except asyncpg.PostgresError as error:
                found.append(Step(self._script.id, statement, {}, error=str(error.args[0])))
                break
            found.append(
                Step(
                    self._script.id,
                    statement,
                    self._locked(before, state),
                    self._named(oid for oid, file in before.files.items() if state.files.get(oid, file) != file),
                    () if is_alone else self._built(before, state),
                    tuple(self._checked(before, state, is_unbound=is_unbound)),
                    self._named(self._first.forced.keys() & state.files.keys() - state.forced.keys()),
                    waits_forever,
                )
            )
            state = await self._state() if outside else state
        return found

    async def _run(self, statement: Statement, *, outside: bool) -> tuple[_State, bool, bool]:
        """Run a statement. Returns the state after it and two flags.

        The first flag: it could only run outside a transaction. The second: it could only run with a tenant bound.
        """
        execute = self._connection.execute
        await execute("BEGIN" if outside else "SAVEPOINT statement")
        try:
            await execute(statement.text)
            state = await self._state()
            await execute("COMMIT" if outside else "RELEASE statement")
            return state, False, False
        except asyncpg.ActiveSQLTransactionError:
            if not outside:
                raise
            await execute("ROLLBACK")
            await execute(statement.text)
            return await self._state(), True, False
        except asyncpg.PostgresError as error:
            await execute("ROLLBACK" if outside else "ROLLBACK TO statement")
            if outside or not is_unbound(error):
                raise
            return await self._bound(statement, error), False, True

    async def _bound(self, statement: Statement, refusal: asyncpg.PostgresError) -> _State:
        """Bind a tenant that has no rows, run the statement again and unbind the tenant.

        Raises `refusal`, the first error, if the statement fails again or checks no foreign key.
        """
        execute = self._connection.execute
        before = await self._state()
        await self._connection.fetchval("SELECT set_config('app.tenant_id', $1, true)", str(uuid.uuid4()))
        try:
            await execute(statement.text)
        except asyncpg.PostgresError:
            await execute("ROLLBACK TO statement")
            raise refusal from None
        state = await self._state()
        if state.references <= before.references:
            await execute("ROLLBACK TO statement")
            raise refusal
        await execute("SET LOCAL app.tenant_id = ''; RELEASE statement")
        return state

    async def _state(self) -> _State:
        told = json.loads(await self._connection.fetchval(_sql("migration_state"), list(self._tables)))
        return _State(
            frozenset((oid, mode) for oid, mode in told["locks"]),
            dict(told["files"]),
            frozenset((oid, name) for oid, name in told["indexes"]),
            frozenset((name, oid, other) for name, oid, other in told["references"]),
            {int(oid): name for oid, name in told["forced"].items()},
        )

    def _named(self, oids: Iterable[int]) -> tuple[str, ...]:
        return tuple(sorted(self._tables[oid] for oid in oids if oid in self._tables))

    def _locked(self, before: _State, after: _State) -> Mapping[str, str]:
        held, taken = _strongest(before), _strongest(after)
        return {
            self._tables[oid]: mode
            for oid, mode in taken.items()
            if oid not in held or _STRONG[mode] > _STRONG[held[oid]]
        }

    def _built(self, before: _State, after: _State) -> tuple[tuple[str, str], ...]:
        return tuple(sorted((self._tables[oid], name) for oid, name in after.indexes - before.indexes))

    def _checked(self, before: _State, after: _State, *, is_unbound: bool) -> list[ForeignKey]:
        """The foreign keys that the statement has checked, on tables that may have rows.

        These are the tables that existed before the migration, and new tables that it has filled itself.
        """
        return [
            ForeignKey(
                name, tuple(sorted({before.forced[each] for each in tables if each in before.forced})), is_unbound
            )
            for name, *tables in sorted(after.references - before.references)
            if tables[0] in self._tables or is_unbound
        ]


def _strongest(state: _State) -> dict[int, str]:
    found: dict[int, str] = {}
    for oid, mode in state.locks:
        if mode in _STRONG and _STRONG[mode] > _STRONG.get(found.get(oid, ""), -1):
            found[oid] = mode
    return found


def _sql(name: str) -> str:
    return files.sql("checks", f"{name}.sql").read_text(encoding="utf-8")
