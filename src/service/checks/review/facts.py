"""The facts about one statement for reviewers, as plain data: the proofs in words, the plan, and the callers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ALL_TENANTS = "nothing: it works for all tenants"
"""Reports show this text for a use of a table that is not restricted to one tenant: the statement's scope is `platform`."""


@dataclass(frozen=True)
class Parameter:
    """A parameter: its SQL type, its Python annotation, and how the statement uses it, in words.

    `given` says in words whether it can be None. `line` is set if the parameter occurs only in lines with the same
    `-- when :name`: it is then this name, otherwise ''.
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
    """A result column: whether it can be NULL, and why. `becomes` is the row model's field, or the type of a single value."""

    name: str
    type: str
    is_nullable: bool
    why: str
    becomes: str


@dataclass(frozen=True)
class Table:
    """A table, the commands (SELECT, INSERT, …) that the statement applies to it, and whether its rows belong to tenants."""

    name: str
    commands: tuple[str, ...]
    is_tenants: bool


@dataclass(frozen=True)
class Access:
    """One way in which rows of a table are found: by an index, or by reading the whole table (`index` is '').

    `variants` is the number of the statement's variants in whose plans this way occurs. `given` names the parameters of the
    optional lines that the simplest of these variants includes.
    """

    table: str
    index: str
    how: str
    variants: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """One use, in the statement, of a table whose rows belong to tenants, and the two locks that restrict it to the bound tenant.

    `policy` describes the condition that row-level security adds, `predicate` the statement's own condition. Each of them is ''
    if it is missing.
    """

    table: str
    alias: str
    is_written: bool
    policy: str
    predicate: str
    reason: str
    """The reason in the statement's header (`-- unnamed:`) why its own condition may be missing; '' if there is none."""

    @property
    def named(self) -> str:
        """The table's name, followed by its alias in the statement if that differs."""
        return self.table if self.alias == self.table.rpartition(".")[2] else f"{self.table} AS {self.alias}"


@dataclass(frozen=True)
class Held:
    """A property of a statement, in words (`about`), whether the statement has it, and why."""

    about: str
    holds: bool
    why: str


@dataclass(frozen=True)
class Remark:
    """A line of the statement's header that declares an exception to a rule. `subject` is the column, table or function meant."""

    key: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Call:
    """A call of one of the project's SQL functions. `rights` says with whose rights it runs, `reason` why it may be called."""

    name: str
    rights: str
    reason: str


@dataclass(frozen=True)
class CalledBy:
    """A function and line of the service that calls the statement (`place`), and the requests that may run this function."""

    place: str
    routes: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A node of a plan: a title (`Index Scan`), the table or function it reads, its conditions with labels, and its child nodes.

    `role` is set for a sub-plan and for a WITH query: it says when it runs, or its name.
    """

    title: str
    on: str
    index: str
    role: str
    details: tuple[tuple[str, tuple[str, ...]], ...]
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Facts:
    """All facts about a statement.

    `is_isolated` says whether it is proved that the statement returns and changes no row of another tenant. It is None for a
    statement that is not bound to one tenant (scope `platform`, or scope `shared` without tables of tenants).
    """

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
