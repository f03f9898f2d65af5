"""QueryScope: one query of a query tree, with access to the queries around it and inside it.

It tells what the query's variables refer to, how its relations are joined, and which conditions hold for all of its rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from service.checks.proofs.catalog import Catalog, Relation
from service.checks.proofs.tree import Command, Join, Link, Node, Source, UnknownNode, conjuncts, walk

_GROUP_SETS_ARE_MARKED = 18
"""Since this version of PostgreSQL, a query with GROUP BY has a range table entry (RTE_GROUP) for the expressions of GROUP BY."""


@dataclass(frozen=True)
class Joined:
    """A join. `entry` is its number in the range table, `left` and `right` are the numbers of the entries on its two sides.

    `on` has the parts of its condition that are joined with AND.
    """

    entry: int
    kind: Join
    left: frozenset[int]
    right: frozenset[int]
    on: tuple[Node, ...]

    @property
    def nullable(self) -> frozenset[int]:
        """The entries on the sides of the join that it may fill with nulls."""
        return {
            Join.LEFT: self.right,
            Join.RIGHT: self.left,
            Join.FULL: self.left | self.right,
        }.get(self.kind, frozenset())


@dataclass(eq=False)
class QueryScope:
    """One QUERY node; `parent` is the query that contains it."""

    node: Node
    catalog: Catalog
    parent: QueryScope | None = None
    texts: list[frozenset[str] | None] | None = None
    """A cache for origins.py: the texts that each result column may hold."""
    _inner: dict[int, QueryScope] = field(default_factory=dict)

    @functools.cached_property
    def command(self) -> Command:
        """The query's command. Raises UnknownNode if it is not SELECT, INSERT, UPDATE or DELETE."""
        try:
            return Command(self.node["commandType"])
        except ValueError:
            raise UnknownNode(f"QUERY of command {self.node['commandType']}") from None

    @functools.cached_property
    def entries(self) -> list[Node]:
        """The range table; entry n is at position n - 1."""
        return self.node.list("rtable")

    def entry(self, number: int) -> Node:
        """An entry of the range table, counted from 1."""
        found: Node = self.entries[number - 1]
        return found

    def source(self, number: int) -> Source:
        """The kind of an entry. Raises UnknownNode for a kind that the checks don't know."""
        try:
            return Source(self.entry(number)["rtekind"])
        except ValueError:
            raise UnknownNode(f"RANGETBLENTRY of kind {self.entry(number)['rtekind']}") from None

    def relation(self, number: int) -> Relation | None:
        """The table or view that an entry refers to; None if the entry is something else, or a system table or view."""
        if self.source(number) is not Source.RELATION:
            return None
        return self.catalog.relations.get(self.entry(number)["relid"])

    def alias(self, number: int) -> str:
        """The alias of an entry of the range table in the statement, or the entry's name."""
        reference = self.entry(number)["eref"]
        return str(reference["aliasname"]) if reference else "?"

    def column(self, number: int, attribute: int) -> str:
        """The name, as `alias.column`, of the variable with this entry and column number."""
        names = self.entry(number)["eref"].list("colnames") if self.entry(number)["eref"] else []
        name = names[attribute - 1] if 0 < attribute <= len(names) else "*"
        return f"{self.alias(number)}.{name}"

    def up(self, levels: int) -> QueryScope:
        """The query that is `levels` levels above this one: 0 is this query, 1 is the query that contains it, and so on."""
        found = self
        for _ in range(levels):
            if found.parent is None:
                raise UnknownNode("VAR of a level that is not there")
            found = found.parent
        return found

    def inner(self, query: Node) -> QueryScope:
        """The scope of a query directly inside this one: in FROM, in an expression, or in WITH."""
        return self._inner.setdefault(id(query), QueryScope(query, self.catalog, self))

    def subquery(self, number: int) -> QueryScope:
        """The scope of an entry that is a subquery."""
        return self.inner(self.entry(number)["subquery"])

    def expression(self, number: int) -> tuple[Node, QueryScope]:
        """The common table expression that an entry refers to, and the scope of its query."""
        entry = self.entry(number)
        owner = self.up(entry["ctelevelsup"])
        for each in owner.node.list("cteList"):
            if each["ctename"] == entry["ctename"]:
                return each, owner.inner(each["ctequery"])
        raise UnknownNode(f"RANGETBLENTRY of the unknown table expression {entry['ctename']}")

    @functools.cached_property
    def outputs(self) -> list[Node]:
        """The query's result columns: the target entries that are not only for sorting or grouping (`resjunk`)."""
        entries = self.node.list("targetList" if self.command is Command.SELECT else "returningList")
        return [entry for entry in entries if not entry["resjunk"]]

    @functools.cached_property
    def _tree(self) -> tuple[frozenset[int], list[Joined], list[Node]]:
        """The values of the properties `read`, `joins` and `always`."""
        joins: list[Joined] = []
        always: list[Node] = []
        where = self.node["jointree"]
        read = self._walk(where, joins, always, is_certain=True) if where else frozenset()
        return frozenset(each for each in read if self.source(each) is not Source.JOIN), joins, always

    def _walk(self, part: Node, joins: list[Joined], always: list[Node], *, is_certain: bool) -> frozenset[int]:
        if part.kind == "RANGETBLREF":
            return frozenset({part["rtindex"]})
        if part.kind == "FROMEXPR":
            found: frozenset[int] = frozenset()
            for each in part.list("fromlist"):
                found |= self._walk(each, joins, always, is_certain=is_certain)
            if is_certain:
                always.extend(conjuncts(part["quals"]))
            return found
        if part.kind != "JOINEXPR":
            raise UnknownNode(f"{part.kind} in a FROM")
        try:
            kind = Join(part["jointype"])
        except ValueError:
            raise UnknownNode(f"JOINEXPR of kind {part['jointype']}") from None
        # A condition inside the nullable side of an outer join does not hold for rows in which that side is filled with nulls.
        left = self._walk(part["larg"], joins, always, is_certain=is_certain and kind in (Join.INNER, Join.LEFT))
        right = self._walk(part["rarg"], joins, always, is_certain=is_certain and kind in (Join.INNER, Join.RIGHT))
        on = conjuncts(part["quals"])
        joins.append(Joined(part["rtindex"], kind, left, right, tuple(on)))
        if is_certain and kind is Join.INNER:
            always.extend(on)
        return left | right | {part["rtindex"]}

    @property
    def read(self) -> frozenset[int]:
        """The entries in the query's FROM. For UPDATE and DELETE they include the target."""
        return self._tree[0]

    @property
    def joins(self) -> list[Joined]:
        """The query's joins. A join that is inside another join comes before that one."""
        return self._tree[1]

    @property
    def always(self) -> list[Node]:
        """Conditions that hold for every row: of WHERE and of inner joins, but not inside the nullable side of an outer join."""
        return self._tree[2]

    @functools.cached_property
    def target(self) -> int | None:
        """The entry that the query inserts into, updates or deletes from; None for a SELECT."""
        return self.node["resultRelation"] or None

    @functools.cached_property
    def grouping(self) -> list[Node]:
        """The expressions of GROUP BY."""
        references = {each["tleSortGroupRef"] for each in self.node.list("groupClause")}
        return [each["expr"] for each in self.node.list("targetList") if each["ressortgroupref"] in references]

    @functools.cached_property
    def blanked(self) -> list[Node]:
        """The expressions that grouping sets may make null. Empty since PostgreSQL 18, whose trees mark such expressions."""
        is_marked = self.catalog.version >= _GROUP_SETS_ARE_MARKED
        return self.grouping if self.node.list("groupingSets") and not is_marked else []

    @property
    def is_one_group(self) -> bool:
        """Whether the query aggregates all rows into one row. It always returns this row, unless HAVING removes it."""
        is_aggregate = self.node["hasAggs"] or self.node["havingQual"] is not None
        return is_aggregate and not self.node.list("groupClause") and not self.node.list("groupingSets")

    @functools.cached_property
    def nested(self) -> tuple[QueryScope, ...]:
        """The queries directly inside this one: those in WITH, in FROM and in expressions."""
        found = [each["ctequery"] for each in self.node.list("cteList")]
        found += [each["subquery"] for each in self.entries if each["subquery"] is not None]
        found += [each["subselect"] for each in self.own if each.kind == "SUBLINK"]
        return tuple(map(self.inner, found))

    @functools.cached_property
    def queries(self) -> tuple[QueryScope, ...]:
        """This query and all queries inside it, at any depth."""
        return (self, *(each for query in self.nested for each in query.queries))

    @property
    def permissions(self) -> list[Node]:
        """The nodes that may say which privileges the query needs on a relation.

        Since PostgreSQL 16 this is in nodes of their own (`rteperminfos`); before, it is in the entries of the range table.
        """
        return [*self.node.list("rteperminfos"), *self.entries]

    @functools.cached_property
    def own(self) -> tuple[Node, ...]:
        """The nodes of this query, without those of the queries inside it."""
        found = []
        stack: list[Any] = [value for name, value in self.node.fields.items() if name != "cteList"]
        while stack:
            value = stack.pop()
            if isinstance(value, list):
                stack.extend(value)
            elif isinstance(value, Node) and value.kind != "QUERY":
                found.append(value)
                stack.extend(value.fields.values())
        return tuple(found)


def is_exists(expression: Node) -> bool:
    """Whether an expression is `EXISTS (…)`."""
    return expression.kind == "SUBLINK" and expression["subLinkType"] == Link.EXISTS


def variables(value: Any) -> Iterator[Node]:
    """All variables (VAR nodes) in an expression, also those that refer to other queries."""
    return (each for each in walk(value) if each.kind == "VAR")
