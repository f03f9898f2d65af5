"""Dataclasses with the facts about one statement that reviewers are shown: the proofs in words, the plan, and the callers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ALL_TENANTS = "nothing: it works for all tenants"
"""Reports show this text where no condition restricts a use of a table to one tenant, if the statement has scope `platform`."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of the statement. `type` is its SQL type, `annotation` its Python type.

    `given` says in words whether a caller may pass None, `uses` what the statement does with the parameter. If the parameter
    occurs only in optional lines that end in the same `-- when :name`, `line` is this name, otherwise ''.
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
    """A result column: its name, its SQL type, whether it can be NULL, and the reason for this.

    `becomes` is the field of the row model that gets the value, such as `Campaign.name: str`. If the statement has no row
    model, it is the Python type that the repository's method returns.
    """

    name: str
    type: str
    is_nullable: bool
    why: str
    becomes: str


@dataclass(frozen=True)
class Table:
    """A table or view that the statement uses, and the commands (SELECT, INSERT, …) that the statement applies to it.

    `is_tenants` says whether the rows belong to tenants.
    """

    name: str
    commands: tuple[str, ...]
    is_tenants: bool


@dataclass(frozen=True)
class Access:
    """One way in which rows of a table are found: by an index, or by reading the whole table (`index` is '').

    `how` is one of the three texts that planned.py defines, such as `finds rows`. `variants` is the number of variants of the
    statement whose plans find rows in this way. `given` describes one of these variants, the one with the fewest optional
    lines: it has the names in the `-- when :name` of these lines.
    """

    table: str
    index: str
    how: str
    variants: int
    given: tuple[str, ...]


@dataclass(frozen=True)
class Lock:
    """One use of a table in the statement, and the two conditions (locks) that restrict this use to rows of one tenant.

    Only tables whose rows belong to tenants have locks. `policy` describes the condition that row-level security adds,
    `predicate` the condition that is written in the statement; each is '' if there is no such condition.
    """

    table: str
    alias: str
    is_written: bool
    policy: str
    predicate: str
    reason: str
    """Why `predicate` may be missing, as the header says (`-- unnamed: table because reason`); '' if the header says nothing."""

    @property
    def named(self) -> str:
        """The table's name; if its alias in the statement differs from the name, with the alias: `users AS u`."""
        return self.table if self.alias == self.table.rpartition(".")[2] else f"{self.table} AS {self.alias}"


@dataclass(frozen=True)
class Held:
    """A proof in words: what it is about (`about`), whether it succeeded (`holds`), and why or why not.

    In `Facts.rows` the proof is that the number of rows is limited, and `about` says how many rows there can be. In
    `Facts.orders` it is that an ORDER BY is total, and `about` is the LIMIT of the same query.
    """

    about: str
    holds: bool
    why: str


@dataclass(frozen=True)
class Remark:
    """A line of the statement's header that declares an exception to a rule: `-- key: subject because reason`.

    `subject` is the column, table, function or SQLSTATE that the exception is about; '' if it is about the whole statement.
    """

    key: str
    subject: str
    reason: str


@dataclass(frozen=True)
class Call:
    """An SQL function that is not PostgreSQL's own and that the statement calls.

    `rights` says in words with whose privileges the function runs, `reason` why the statement may call it ('' if no reason is
    declared or known).
    """

    name: str
    rights: str
    reason: str


@dataclass(frozen=True)
class CalledBy:
    """A call of the statement in the service's source (`place` is `function:line`), and the requests that may run it."""

    place: str
    routes: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """A node of a plan; `steps` are its child nodes.

    `title` is the kind of node (`Index Scan`), `on` the table, WITH query or function that the node reads. `details` has pairs
    of a label (`Index Cond`) and the conditions or keys that belong to it. `role` is set only for the top node of a sub-plan
    (`SubPlan 1: for each row`) or of a WITH query (`WITH` and its name).
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

    `is_isolated` says whether it is proved that the statement neither returns nor changes rows of another tenant. The functions
    that it calls are not judged here; `calls` lists them. `is_isolated` is None if the question does not arise: the scope is
    `platform`, or the scope is `shared` and the statement uses no table whose rows belong to tenants.
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
    sent: str
    """The text that a GET sends, with all optional lines and the lookup of a session; '' if the statement needs a transaction."""
    findings: tuple[str, ...]

    @property
    def as_json(self) -> dict[str, Any]:
        """The facts as a dictionary, for JSON output."""
        return asdict(self)
