"""The part of a migrated database's catalog that the proofs use."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service import files
from service.checks.proofs import tree

# Not bpchar: a value of character(n) comes with blanks up to its length.
_TEXT = r"'(?:[^']|'')*'::(?:text|character varying)"
_LISTED = re.compile(
    rf"CHECK \(+\"?(\w+)\"?\)*(?:::text)? = ANY \(+ARRAY\[({_TEXT}(?:, {_TEXT})*)\]\)*(?:::text\[\])?\)*"
    r"(?: OR \(*\"?\1\"? IS NULL\)*)?\Z"
)
"""A CHECK that lists the texts of one column, and says nothing else but that it may be NULL."""
_ONE = re.compile(rf"CHECK \(+\"?(\w+)\"?\)*(?:::text)? = ({_TEXT})\)*\Z")
"""A CHECK that allows one text only."""
_TRUE = re.compile(r"CHECK \((\w+)\)\Z")
_LITERAL = re.compile(r"'((?:[^']|'')*)'::")
_SYSTEM = """
SELECT c.oid::int8, c.relname::text
  FROM pg_catalog.pg_class AS c
 WHERE c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
    OR c.relkind IN ('m', 'f', 'S')
"""
_FIRST_OF_OURS = 16384
"""`FirstNormalObjectId`: objects that the server itself does not make have this or a higher OID."""
_SEQUENCES = "SELECT c.oid::int8, c.oid::regclass::text FROM pg_catalog.pg_class AS c WHERE c.relkind = 'S'"
_TENANT_FUNCTION = ("app", "current_tenant")


@dataclass(frozen=True)
class Column:
    """A column; `allowed` are the texts that a CHECK lists, if any; `is_constant`: a CHECK allows one value only."""

    number: int
    name: str
    type: int
    is_required: bool
    has_default: bool
    allowed: frozenset[str] | None = None
    is_constant: bool = False


@dataclass(frozen=True)
class Index:
    """An index; `columns` are its key in order (0: an expression), `predicate` is the condition of a partial index."""

    name: str
    columns: tuple[int, ...]
    is_unique: bool
    expressions: Any
    predicate: Any

    @property
    def touched(self) -> frozenset[int]:
        """The columns that the index's key contains, also those inside expressions."""
        return frozenset(
            {*self.columns, *(node["varattno"] for node in tree.walk(self.expressions) if node.kind == "VAR")} - {0}
        )


@dataclass(frozen=True)
class Relation:
    """A table or view; `tenant` is the number of the column that holds its tenant, None where it has none."""

    oid: int
    schema: str
    name: str
    kind: str
    is_secured: bool
    is_forced: bool
    is_invoker: bool
    columns: Mapping[int, Column]
    indexes: tuple[Index, ...]
    policies: Mapping[str, tuple[str | None, str | None]]
    tenant: int | None
    has_before_insert_trigger: bool = False

    @property
    def qualified(self) -> str:
        """`app.tenants`, as SQL names it."""
        return f"{self.schema}.{self.name}"

    def column_name(self, number: int) -> str:
        """A column's name; `*` if the number stands for the whole row."""
        return self.columns[number].name if number in self.columns else "*"


@dataclass(frozen=True)
class Function:
    """A function, operator's function, aggregate or window function."""

    oid: int
    schema: str
    name: str
    kind: str
    is_strict: bool
    is_leakproof: bool
    is_definer: bool
    is_immutable: bool
    is_volatile: bool
    is_set: bool
    arguments: str
    returns: str

    @property
    def is_ours(self) -> bool:
        """Whether it is not one of the server's own functions, in whichever schema it is."""
        return self.oid >= _FIRST_OF_OURS

    @property
    def qualified(self) -> str:
        """The name that statements use: `app.heads`, but the bare name for a function outside the schema `app`."""
        return f"app.{self.name}" if self.schema == "app" else self.name


@dataclass(frozen=True)
class Routine:
    """What a function is made of that is not the server's own; `parts` are the functions of an aggregate."""

    language: str
    body: str
    config: tuple[str, ...]
    parts: tuple[int, ...]
    defaults: Any = None
    """The trees of the defaults of its arguments."""


@dataclass(frozen=True)
class Implied:
    """What runs when rows are written, though no statement says so: a trigger's function, or the tree of a default, CHECK …"""

    what: str
    function: int
    expression: Any


@dataclass(frozen=True, eq=False)
class Catalog:
    """All of it, by oid.

    `implementations` are the functions of operators; `strategies` says which B-tree comparisons an operator is (1 <, 2 <=, 3 =,
    4 >=, 5 >). `kinds` says by its name what a type is that is none of the server's own: `enum`, `range`, `multirange`,
    `composite`, or, of a domain, the type that it is based on.
    """

    version: int
    relations: Mapping[int, Relation]
    functions: Mapping[int, Function]
    operators: Mapping[int, str]
    implementations: Mapping[int, str]
    types: Mapping[int, str]
    kinds: Mapping[str, str]
    strategies: Mapping[int, frozenset[int]]
    indexable: frozenset[int]
    tenant_function: int
    operator_functions: Mapping[int, int] = field(default_factory=dict)
    twins: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    """Of an operator its commutator and its negator, which the planner may put in its place (0: it has none)."""
    routines: Mapping[int, Routine] = field(default_factory=dict)
    implied: tuple[Implied, ...] = ()
    system: Mapping[int, str] = field(default_factory=dict)
    sequences: Mapping[int, str] = field(default_factory=dict)
    named: Mapping[str, Relation] = field(default_factory=dict)

    @property
    def tenant_tables(self) -> Mapping[str, str]:
        """The tables whose rows belong to tenants: the qualified name of each, and the column that holds the tenant."""
        return {
            relation.qualified: relation.column_name(relation.tenant)
            for relation in self.relations.values() if relation.tenant is not None and relation.kind != "v"
        }  # fmt: skip

    def names(self, type_: str) -> frozenset[str]:
        """The names under which annotations speak of a type: its own, and that of its kind; of an array, with `[]` behind."""
        element, brackets = type_.removesuffix("[]"), "[]" if type_.endswith("[]") else ""
        found = {type_}
        while (kind := self.kinds.get(element)) is not None:
            found.add(f"{kind}{brackets}")
            element = kind
        return frozenset(found)

    def equates(self, operator: int) -> bool:
        """Whether an operator is equality for B-tree indexes."""
        return 3 in self.strategies.get(operator, ())


async def load(connection: Any) -> Catalog:
    """Read the catalog over an asyncpg connection of any role."""
    version = await connection.fetchval("SELECT current_setting('server_version_num')::int / 10000")
    labels: dict[int, set[str]] = {}
    for type_, label in await connection.fetch("SELECT enumtypid::int8, enumlabel::text FROM pg_catalog.pg_enum"):
        labels.setdefault(type_, set()).add(label)
    relations = {row["oid"]: _relation(row, labels) for row in await connection.fetch(_sql("relations"))}
    functions = {row["oid"]: Function(*row.values()) for row in await connection.fetch(_sql("functions"))}
    types = await connection.fetch("SELECT oid::int8, format_type(oid, NULL) FROM pg_catalog.pg_type")
    kinds = await connection.fetch(_sql("kinds"))
    operators = await connection.fetch(
        "SELECT oid::int8, oprname::text, oprcode::oid::int8, oprcom::int8, oprnegate::int8 FROM pg_catalog.pg_operator"
    )
    routines = {
        row["oid"]: Routine(
            row["language"],
            row["body"] or "",
            tuple(row["config"]),
            tuple(filter(None, row["parts"])),
            tree.parse(row["defaults"]) if row["defaults"] else None,
        )
        for row in await connection.fetch(_sql("routines"))
    }
    implied = tuple(
        Implied(row["what"], row["function"], tree.parse(row["expression"]) if row["expression"] else None)
        for row in await connection.fetch(_sql("implied"))
    )
    strategies: dict[int, set[int]] = {}
    members = await connection.fetch(
        # Other orders than those of default classes, such as that of text_pattern_ops, are not what ORDER BY sorts by.
        "SELECT o.amopopr::int8, o.amopstrategy, a.amname = 'btree'"
        "       AND EXISTS (SELECT FROM pg_catalog.pg_opclass AS c WHERE c.opcfamily = o.amopfamily AND c.opcdefault)"
        "  FROM pg_catalog.pg_amop AS o"
        "  JOIN pg_catalog.pg_am AS a ON a.oid = o.amopmethod"
        # For operator classes of our own, it is not known which values they treat as equal.
        f" WHERE o.amopfamily < {_FIRST_OF_OURS}"
    )
    for operator, strategy, is_order in members:
        if is_order:
            strategies.setdefault(operator, set()).add(strategy)
    return Catalog(
        version=version,
        relations=relations,
        functions=functions,
        operators={oid: name for oid, name, *_ in operators},
        implementations={function: name for _, name, function, *_ in operators},
        types=dict(map(tuple, types)),
        kinds=dict(map(tuple, kinds)),
        strategies={operator: frozenset(found) for operator, found in strategies.items()},
        indexable=frozenset(operator for operator, _, _ in members),
        tenant_function=next(
            (each.oid for each in functions.values() if (each.schema, each.name) == _TENANT_FUNCTION), 0
        ),
        operator_functions={oid: function for oid, _, function, *_ in operators},
        twins={oid: (other, opposite) for oid, _, _, other, opposite in operators if other or opposite},
        routines=routines,
        implied=implied,
        sequences=dict(map(tuple, await connection.fetch(_SEQUENCES))),
        system=dict(map(tuple, await connection.fetch(_SYSTEM))),
        named={relation.qualified: relation for relation in relations.values()},
    )


def _sql(name: str) -> str:
    return files.sql("checks", f"{name}.sql").read_text(encoding="utf-8")


def _relation(row: Any, labels: Mapping[int, set[str]]) -> Relation:
    allowed = dict(filter(None, map(_listed, json.loads(row["checks"] or "[]"))))
    true = {match.group(1) for each in json.loads(row["checks"] or "[]") if (match := _TRUE.match(each))}
    columns = {
        each["number"]: Column(
            **each,
            allowed=allowed.get(each["name"]) or frozenset(labels.get(each["type"], ())) or None,
            is_constant=each["name"] in true or len(allowed.get(each["name"], ())) == 1,
        )
        for each in json.loads(row["columns"] or "[]")
    }
    # A row of app.tenants belongs to the tenant that it describes.
    tenant = "id" if (row["schema"], row["name"]) == ("app", "tenants") else "tenant_id"
    return Relation(
        oid=row["oid"], schema=row["schema"], name=row["name"], kind=row["kind"], is_secured=row["is_secured"],
        is_forced=row["is_forced"], is_invoker=row["is_invoker"], columns=columns,
        has_before_insert_trigger=row["has_before_insert_trigger"],
        indexes=tuple(_index(each) for each in json.loads(row["indexes"] or "[]")),
        policies={each["name"]: (each["using"], each["check"]) for each in json.loads(row["policies"] or "[]")},
        tenant=next((each.number for each in columns.values() if each.name == tenant), None),
    )  # fmt: skip


def _index(row: Mapping[str, Any]) -> Index:
    predicate, expressions = row["predicate"], row["expressions"]
    return Index(
        name=row["name"],
        columns=tuple(row["columns"]),
        is_unique=row["is_unique"],
        expressions=tree.parse(expressions) if expressions else None,
        predicate=tree.parse(predicate) if predicate else None,
    )


def _listed(definition: str) -> tuple[str, frozenset[str]] | None:
    """The column and the texts of `CHECK (status IN ('draft', …))`, as the server prints this constraint."""
    match = _LISTED.match(definition) or _ONE.match(definition)
    if not match:
        return None
    return match.group(1), frozenset(each.replace("''", "'") for each in _LITERAL.findall(match.group(2)))
