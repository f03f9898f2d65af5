"""Finds out, for each statement of a migration, which tables it locks and rewrites and which foreign keys it checks.

The statement is run on tables with rows. Then locks and catalog are read inside the same transaction.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from service import files
from service.checks.migrations import contents, effects, scripts
from service.checks.migrations.effects import Effects
from service.checks.migrations.scripts import Refused, Script, Statement, is_unbound

Fill = Callable[[Any], Awaitable[None]]
"""A function that inserts rows into all existing tables, on the given connection and in its current transaction.

It is called with the login's own role, and must take no stronger locks than an INSERT does. If the login is a superuser, the
function can disable triggers with `session_replication_role = replica`. The rows must also satisfy the constraints that later
migrations add.
"""

OWNER = "quarry_owner"
_MODES = (
    *("AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock"),
    *("ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
)
_STRONG = {mode: strength for strength, mode in enumerate(_MODES) if mode not in _MODES[:3]}


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key that a statement added or validated, so that the server checked the existing rows.

    `forced` names those of its two tables that had FORCE ROW LEVEL SECURITY at that time.
    """

    name: str
    forced: tuple[str, ...]
    is_unbound: bool
    """Whether the statement first failed with TN001 because no tenant was bound. It was then run again, bound to a tenant
    that has no rows. The check of the foreign key passed, but only because the policies hid all rows."""


@dataclass(frozen=True)
class Step:
    """One statement of a migration, and its effects on tables that existed before the migration.

    `locks` maps the name of such a table to the strongest lock that this statement has added to those of the statements before
    it. Locks that are not stronger than that of an UPDATE (ROW EXCLUSIVE) are left out. `rewritten` names the tables whose rows
    it has rewritten. `waits_forever` says whether lock_timeout was 0.
    """

    migration: str
    statement: Statement
    locks: Mapping[str, str]
    rewritten: tuple[str, ...] = ()
    indexes: tuple[tuple[str, str], ...] = ()
    """The indexes that it built while other transactions could not write to the table: the table and the name of each index."""
    references: tuple[ForeignKey, ...] = ()
    unforced: tuple[str, ...] = ()
    """The tables that had FORCE ROW LEVEL SECURITY before the migration and do not have it after this statement."""
    waits_forever: bool = False
    effects: Effects = field(default_factory=Effects)
    error: str = ""
    """The server's error message if it refused the statement. The migration has no further steps then."""

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
    """The result of `sql/checks/migration_state.sql`. Tables are identified by their OIDs."""

    locks: frozenset[tuple[int, str]]
    files: Mapping[int, int]
    indexes: frozenset[tuple[int, str]]
    references: frozenset[tuple[str, int, int]]
    forced: Mapping[int, str]
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trace:
    """What a migration did, and what its rollback then did: what the two together lose, in words, or why it was refused.

    `tables` are the names of the tables that existed before, without their schemas.
    """

    steps: list[Step]
    tables: frozenset[str] = frozenset()
    lost: list[str] = field(default_factory=list)
    refused: Refused | None = None


async def trace(connection: Any, script: Script, fill: Fill, back: Script | None = None) -> Trace:
    """Run a migration statement by statement on filled tables, then undo both the migration and the rows.

    A migration that has to run outside a transaction can't be undone: it is run on the tables as they are, without rows from
    `fill`, and stays applied. The current role of the connection must be the owner, and its login must be allowed to SET ROLE
    to the owner.
    """
    tracer = await _Tracer.of(connection, script)
    if not script.is_transactional:
        return Trace(await tracer.steps(outside=True), tracer.names)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL ROLE NONE")
        await fill(connection)
        # DDL fails on a table with pending events of deferred triggers, so let these triggers run now.
        await connection.execute(
            "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
            # Only if `fill` has changed it: a login that may not change this setting may not reset it either.
            "SELECT set_config('session_replication_role', 'origin', true)"
            " WHERE current_setting('session_replication_role') <> 'origin';"
        )
        before = await contents.read(connection)
        await connection.execute(f"SET LOCAL ROLE {OWNER}")
        steps = await tracer.steps(outside=False)
        if back is None or any(each.error for each in steps):
            return Trace(steps, tracer.names)
        try:
            async with connection.transaction():
                await scripts.run(connection, back, in_transaction=False)
        except Refused as refused:
            return Trace(steps, tracer.names, refused=refused)
        await connection.execute("SET LOCAL ROLE NONE")
        return Trace(steps, tracer.names, contents.lost(before, await contents.read(connection)))
    finally:
        await transaction.rollback()


class _Tracer:
    def __init__(self, connection: Any, script: Script, tables: Mapping[int, str]) -> None:
        self._connection, self._script, self._tables = connection, script, tables

    @classmethod
    async def of(cls, connection: Any, script: Script) -> _Tracer:
        rows = await connection.fetch(_sql("migration_tables"))
        return cls(connection, script, {row["oid"]: row["name"] for row in rows})

    @property
    def names(self) -> frozenset[str]:
        """The names of the tables that existed before the migration, without their schemas."""
        return frozenset(name.rpartition(".")[2].strip('"') for name in self._tables.values())

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
            refused = (
                [] if outside else await effects.violated_checks(self._connection, before.raw, state.raw, self._tables)
            )
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
                    effects.between(before.raw, state.raw, self._first.raw, self._tables, refused),
                )
            )
            state = await self._state() if outside else state
        return found

    async def _run(self, statement: Statement, *, outside: bool) -> tuple[_State, bool, bool]:
        """Run a statement. Returns the state after it and two flags.

        The first flag says whether the statement could only be run outside a transaction, the second whether it could only be run
        with a tenant bound.
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

        `refusal` is the error of the first attempt. It is raised if the statement fails again or checks no foreign key.
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
            told,
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
        """The foreign keys that the statement has added or validated on tables that may have rows.

        These are tables that existed before the migration. If the statement could only be run with a tenant bound, a table that
        the migration itself has created and filled counts too.
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
