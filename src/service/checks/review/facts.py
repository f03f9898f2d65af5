"""What a reviewer wants to know of one statement, as plain data: the proofs in words, the plan, who calls it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ALL_TENANTS = "nothing: it works for all tenants"
"""What keeps a statement of the platform to one tenant."""


@dataclass(frozen=True)
class Parameter:
    """A parameter as SQL and as Python have it; `line` is the condition whose line it stands in, '' for none."""

    name: str
    type: str
    annotation: str
    is_nullable: bool
    given: str
    line: str
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """A result column: whether it can be NULL and why, and the field or value that it becomes."""

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
    """How rows of a table are found: by an index; `index` is '' if the whole table is read.

    In how many variants that is so, and the conditions of the simplest of them.
    """

    table: str
    index: str
    how: str
    variants: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """One use of a tenant's table, and what keeps it to the bound tenant: in words, '' where that is missing."""

    table: str
    alias: str
    is_written: bool
    policy: str
    predicate: str
    reason: str
    """The reason in the header why one of the two may be missing."""

    @property
    def named(self) -> str:
        """The table, and what the statement calls it where that is another name."""
        return self.table if self.alias == self.table.rpartition(".")[2] else f"{self.table} AS {self.alias}"


@dataclass(frozen=True)
class Held:
    """Something that is proved, or that is not."""

    about: str
    holds: bool
    why: str


@dataclass(frozen=True)
class Remark:
    """A line of the header: what it is about, and the reason."""

    key: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Call:
    """A function of the service that the statement calls, whose rights it runs with, and the reason that is declared."""

    name: str
    rights: str
    reason: str


@dataclass(frozen=True)
class CalledBy:
    """A place in the service that calls the statement, and the requests that come there."""

    place: str
    routes: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A node of a plan: a title such as `Index Scan`, what it is on, and its conditions, each with a label."""

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
        """For programs."""
        return asdict(self)
