"""Proves what the query trees of a statement show: the server makes one tree for each variant of the statement."""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from service.checks import spans
from service.checks.entries import Entry
from service.checks.findings import Finding, Span
from service.checks.proofs import cardinality, isolation, limits, nullability, orders
from service.checks.proofs.cardinality import Proof
from service.checks.proofs.catalog import Catalog
from service.checks.proofs.describing import Described, Describer, describing
from service.checks.proofs.isolation import Locked
from service.checks.proofs.nullability import Verdict
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, UnknownNode
from service.statements import frames
from service.statements.statement import TENANT_PARAMETER, Note

_TEACH = "write it otherwise, or teach src/service/checks what it means"


@dataclass(frozen=True)
class Proved:
    """What is proved of one variant of a statement.

    `key` is the variant's key in `Statement.variants`. `verdicts` say which result columns can be null, `one` says whether
    there is at most one row. `orders` has each query with LIMIT or DISTINCT ON, and the proof whether its ORDER BY is total.
    """

    key: int
    described: Described
    verdicts: Sequence[Verdict]
    one: Proof
    orders: Sequence[tuple[QueryScope, Proof]]
    locks: Sequence[Locked]
    given: frozenset[int] = frozenset()
    full: frozenset[int] = frozenset()

    @property
    def scope(self) -> QueryScope:
        """The outermost query of the variant's tree."""
        return self.described.scope

    @property
    def run(self) -> tuple[QueryScope, ...]:
        """All queries that run: the outermost one, and those that rules of tables add."""
        return (self.described.scope, *self.described.added)

    @property
    def queries(self) -> Iterator[QueryScope]:
        """All queries that run, at any depth."""
        return (each for query in self.run for each in query.queries)

    @functools.cached_property
    def may_write(self) -> bool:
        """Whether the variant may write: itself, in a query inside it, or in a function of ours."""
        return any(map(isolation.called, self.run)) or any(each.command is not Command.SELECT for each in self.queries)


@dataclass
class Subject:
    """A statement that is being checked: the proofs of its variants, its findings, and which notes of its header were needed."""

    entry: Entry
    catalog: Catalog
    proved: Mapping[int, Proved] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    _used: set[Note] = field(default_factory=set)
    _said: set[tuple[str, str]] = field(default_factory=set)

    @property
    def widest(self) -> Proved:
        """The variant with all its optional lines."""
        return self.proved[max(self.proved)]

    @functools.cached_property
    def framed(self) -> frozenset[int]:
        """The keys of the variants that a GET can send in a frame."""
        return frames.framed_keys(self.entry.statement)

    def declared(self, key: str, subject: str = "") -> Note | None:
        """The note in the header with this key and subject, if there is one."""
        notes = self.entry.statement.notes
        return next((each for each in notes if (each.key, each.subject) == (key, subject)), None)

    def note(self, key: str, subject: str = "") -> Note | None:
        """Like `declared`, but also record that a check needed the note."""
        note = self.declared(key, subject)
        if note is not None:
            self._used.add(note)
        return note

    def unneeded(self) -> list[Note]:
        """Exceptions that nothing needed; whether a class of growth is needed, growth.py says, which measures."""
        return [each for each in self.entry.statement.notes if each not in self._used and each.key != "grows"]

    def is_used(self, note: Note) -> bool:
        """Whether a note was needed so far."""
        return note in self._used

    def say(
        self,
        code: str,
        message: str,
        *,
        span: Span | None = None,
        proved: str = "",
        remedy: str = "",
        is_note: bool = False,
    ) -> None:
        """Add a finding. The same finding of several variants is added only once."""
        if (code, message) not in self._said:
            self._said.add((code, message))
            where = span or spans.whole(self.entry.statement)
            self.findings.append(Finding(code, self.entry.label, where, message, proved, remedy, is_note))


async def prove(connection: Any, catalog: Catalog, entries: Sequence[Entry]) -> list[Subject]:
    """Prepare every variant of every statement as the role that runs it, and prove what its query tree shows.

    The connection belongs to a superuser, or to a login that may SET ROLE to these roles. It may be bound to any tenant.
    """
    subjects = []
    async with describing(connection, catalog) as describer:
        for entry in entries:
            subject = Subject(entry, catalog)
            await connection.execute(f"SET ROLE {entry.role}")
            try:
                subject.proved = {
                    key: proved
                    for key in entry.statement.variants
                    if (proved := await _variant(describer, subject, key)) is not None
                }
            finally:
                await connection.execute("RESET ROLE")
            subjects.append(subject)
    return subjects


async def _variant(describer: Describer, subject: Subject, key: int) -> Proved | None:
    with understanding(subject):
        try:
            return _proved(subject, key, await describer.describe(subject.entry.statement.variants[key].text))
        except asyncpg.PostgresError as error:
            report_refusal(subject, key, error)
    return None


@contextlib.contextmanager
def understanding(subject: Subject) -> Iterator[None]:
    """Add a finding if the checks do not understand a statement or fail on it, so that the other statements are still checked."""
    try:
        yield
    except UnknownNode as error:
        subject.say("not-understood", f"{error}", remedy=_TEACH)
    except Exception as error:  # noqa: BLE001  a fault of the checks must neither end them nor pass for a proof
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        subject.say("not-understood", f"the checks fail on it ({what}, {where})", remedy=_TEACH)


def _proved(subject: Subject, key: int, described: Described) -> Proved:
    variant = subject.entry.statement.variants[key]
    numbers = {name: number for number, name in enumerate(variant.parameters, 1)}
    given = frozenset(number for name, number in numbers.items() if subject.entry.is_given(name, key))
    full = frozenset(number for name, number in numbers.items() if subject.entry.is_full(name))
    scope = described.scope
    return Proved(
        key=key,
        described=described,
        verdicts=nullability.prove(scope, given, full),
        one=cardinality.at_most_one(scope),
        given=given,
        full=full,
        orders=[(each, orders.total_order(each)) for each in scope.queries if limits.takes_some(each)],
        locks=[
            each
            for query in (scope, *described.added)
            for each in isolation.locked(query, numbers.get(TENANT_PARAMETER))
        ],
    )


def report_refusal(subject: Subject, key: int, error: asyncpg.PostgresError) -> None:
    """Add a finding for a variant that PostgreSQL refuses, when it is prepared or when it is planned."""
    statement = subject.entry.statement
    # The position in PostgreSQL's error message counts characters, from 1.
    position = int(getattr(error, "position", None) or 0) - 1
    offset = len(statement.variants[key].text[:position].encode()) if position >= 0 else -1
    subject.say(
        "refused", f"PostgreSQL refuses it: {error.args[0]}", span=spans.at(statement, key, offset),
        proved=f"SQLSTATE {error.sqlstate}", remedy=str(getattr(error, "hint", None) or "compare it with sql/schema.sql"),
    )  # fmt: skip
