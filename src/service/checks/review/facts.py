"""The facts about one statement for reviewers, as plain data: the proofs in words, the plan, and the callers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ALL_TENANTS = "nothing: it works for all tenants"
"""What reports show where a use of a table is not restricted to one tenant because the statement's scope is `platform`."""


@dataclass(frozen=True)
class Parameter:
    """A parameter as SQL and as Python declare it.

    `line` is the parameter whose `-- when` line it is used in, '' if it is not confined to one optional line.
    """

    name: str
    type: str
    annotation: str
    is_nullable: bool
    given: str
    line: str
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A result column: whether it can be NULL and why, and the field of the row model or the value that it becomes."""

    name: str
    type: str
    is_nullable: bool
    why: str
    becomes: str


@dataclass(frozen=True)
class Table:
    """A table that the statement names, the commands that are applied to it, and whether it holds rows of tenants."""

    name: str
    commands: tuple[str, ...]
    is_tenants: bool


@dataclass(frozen=True)
class Access:
    """One way in which rows of a table are found: by an index, or by reading the whole table (`index` is '').

    `variants` is the number of variants that use this way; `given` has the conditions of the simplest of them.
    """

    table: str
    index: str
    how: str
    variants: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """One use of a tenant's table, and what restricts it to the bound tenant.

    `policy` describes row-level security, `predicate` the statement's own condition; each is '' if it is missing.
    """

    table: str
    alias: str
    is_written: bool
    policy: str
    predicate: str
    reason: str
    """The reason that the statement's header gives why `policy` or `predicate` may be missing."""

    @property
    def named(self) -> str:
        """The table's name, followed by its alias in the statement if that differs."""
        return self.table if self.alias == self.table.rpartition(".")[2] else f"{self.table} AS {self.alias}"


@dataclass(frozen=True)
class Held:
    """A property of a statement in words, whether it holds, and why."""

    about: str
    holds: bool
    why: str


@dataclass(frozen=True)
class Remark:
    """A line of the statement's header that declares an exception: its key, what it is about, and the reason."""

    key: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Call:
    """An SQL function of this project that the statement calls, whose rights it runs with, and why the call is allowed."""

    name: str
    rights: str
    reason: str


@dataclass(frozen=True)
class CalledBy:
    """A place in the service that calls the statement, and the requests that may run this place."""

    place: str
    routes: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A node of a plan: a title such as `Index Scan`, the table that it reads or writes, and its conditions with labels."""

    title: str
    on: str
    index: str
    role: str
    details: tuple[tuple[str, tuple[str, ...]], ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Facts:
    """All facts about a statement. `is_isolated` is None if the question does not apply: the statement belongs to no tenant."""

    label: str
    name: str
    repository: str
    kind: str
    scope: str
    role: str
    grows: str
    doc: str
    file: str
    line: int
    source: str
    source_line: int
    variants: int
    conditions: tuple[str, ...]
    remarks: tuple[Remark, ...]
    parameters: tuple[Parameter, ...]
    returns: str
    answers: tuple[Answer, ...]
    rows: Held
    orders: tuple[Held, ...]
    tables: tuple[Table, ...]
    accesses: tuple[Access, ...]
    locks: tuple[Lock, ...]
    is_isolated: bool | None
    isolation: str
    calls: tuple[Call, ...]
    callers: tuple[CalledBy, ...]
    plan: Step | None
    findings: tuple[str, ...]

    @property
    def as_json(self) -> dict[str, Any]:
        """The facts as a dictionary, for JSON output."""
        return asdict(self)
