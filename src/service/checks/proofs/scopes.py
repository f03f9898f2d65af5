"""QueryScope represents one query of a query tree, and gives access to the queries around it and inside it.

It shows what the query's variables (VAR nodes) refer to, how its relations are joined, and which conditions hold for all rows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from service.checks.proofs.callees import Callee, callees
from service.checks.proofs.catalog import Catalog, Relation
from service.checks.proofs.joins import NO_ENTRY, Joined
from service.checks.proofs.tree import Command, Join, Node, Source, UnknownNode, conjuncts, within

_GROUP_SETS_ARE_MARKED = 18
"""Since this version of PostgreSQL, the tree itself marks the expressions of GROUP BY that grouping sets may make null: they are
columns of a range table entry of the kind RTE_GROUP."""
_NOT_MATCHED_BY_SOURCE = 1
"""`MERGE_WHEN_NOT_MATCHED_BY_SOURCE`, since PostgreSQL 17."""


@dataclass(eq=False)
class QueryScope:
    """One query. `node` is its QUERY node, `parent` is the query that directly contains it (None for the outermost query).

    In this class, an entry is an item of the query's range table, the numbered list of the tables, subqueries, joins and
    functions that the query uses. A variable is a VAR node, which refers to a column of an entry.
    """

    node: Node
    catalog: Catalog
    parent: QueryScope | None = None
    texts: list[frozenset[str] | None] | None = None
    """A cache that origins.texts() fills: for each result column, the texts that it may contain."""
    _inner: dict[int, QueryScope] = field(default_factory=dict)

    @functools.cached_property
    def command(self) -> Command:
        """The query's command. Raises UnknownNode if it is another than those of `Command`."""
        try:
            return Command(self.node["commandType"])
        except ValueError:
            raise UnknownNode(f"QUERY of command {self.node['commandType']}") from None

    @functools.cached_property
    def entries(self) -> list[Node]:
        """The range table. Entry number n is at index n - 1."""
        return self.node.list("rtable")

    def entry(self, number: int) -> Node:
        """The entry of the range table with this number. Numbers begin at 1."""
        found: Node = self.entries[number - 1]
        return found

    def source(self, number: int) -> Source:
        """The kind of the entry with this number. Raises UnknownNode for a kind that the checks don't know."""
        try:
            return Source(self.entry(number)["rtekind"])
        except ValueError:
            raise UnknownNode(f"RANGETBLENTRY of kind {self.entry(number)['rtekind']}") from None

    def relation(self, number: int) -> Relation | None:
        """The table or view that an entry refers to. None if it refers to anything else, or to a table or view of the system."""
        if self.source(number) is not Source.RELATION:
            return None
        return self.catalog.relations.get(self.entry(number)["relid"])

    def alias(self, number: int) -> str:
        """The name by which the query refers to an entry: its alias or, without an alias, for example the table's name."""
        reference = self.entry(number)["eref"]
        return str(reference["aliasname"]) if reference else "?"

    def column(self, number: int, attribute: int) -> str:
        """The name `alias.column` of the column with number `attribute` in an entry; `alias.*` for the whole row."""
        names = self.entry(number)["eref"].list("colnames") if self.entry(number)["eref"] else []
        name = names[attribute - 1] if 0 < attribute <= len(names) else "*"
        return f"{self.alias(number)}.{name}"

    def up(self, levels: int) -> QueryScope:
        """The query that is `levels` levels further out: 0 is this query, 1 is the query that contains this one, and so on."""
        found = self
        for _ in range(levels):
            if found.parent is None:
                raise UnknownNode("VAR of a level that is not there")
            found = found.parent
        return found

    def inner(self, query: Node) -> QueryScope:
        """The scope of a query that is directly inside this one: in FROM, in an expression, or in WITH. `query` is its node."""
        return self._inner.setdefault(id(query), QueryScope(query, self.catalog, self))

    def subquery(self, number: int) -> QueryScope:
        """The scope of the subquery in FROM whose entry has this number."""
        return self.inner(self.entry(number)["subquery"])

    def expression(self, number: int) -> tuple[Node, QueryScope]:
        """The common table expression (item of WITH) that an entry refers to, and the scope of the query in it."""
        entry = self.entry(number)
        owner = self.up(entry["ctelevelsup"])
        for each in owner.node.list("cteList"):
            if each["ctename"] == entry["ctename"]:
                return each, owner.inner(each["ctequery"])
        raise UnknownNode(f"RANGETBLENTRY of the unknown table expression {entry['ctename']}")

    def is_recursive(self, number: int) -> bool:
        """Whether an entry refers to a recursive common table expression."""
        return self.source(number) is Source.CTE and bool(self.expression(number)[0]["cterecursive"])

    def source_query(self, number: int) -> QueryScope | None:
        """The scope of the subquery or common table expression that an entry is; None if it is anything else."""
        if self.source(number) is Source.SUBQUERY:
            return self.subquery(number)
        return self.expression(number)[1] if self.source(number) is Source.CTE else None

    @functools.cached_property
    def outputs(self) -> list[Node]:
        """The nodes (TARGETENTRY) of the query's result columns. Those that only serve sorting or grouping are left out."""
        entries = self.node.list("targetList" if self.command is Command.SELECT else "returningList")
        return [entry for entry in entries if not entry["resjunk"]]

    @functools.cached_property
    def _tree(self) -> tuple[frozenset[int], list[Joined], list[Node]]:
        """The values of the properties `read`, `joins` and `always`."""
        joins: list[Joined] = []
        always: list[Node] = []
        where = self.node["jointree"]
        if self.command is Command.MERGE:
            return self._merged(where, joins, always)
        read = self._walk(where, joins, always, is_certain=True) if where else frozenset()
        return frozenset(each for each in read if self.source(each) is not Source.JOIN), joins, always

    def _merged(
        self, where: Node, joins: list[Joined], always: list[Node]
    ) -> tuple[frozenset[int], list[Joined], list[Node]]:
        """Those of a MERGE: each row of the source meets the rows of the target that satisfy the condition, or none.

        Before PostgreSQL 17 the condition stands in the place of WHERE. Raises UnknownNode for WHEN NOT MATCHED BY SOURCE.
        """
        if any(each["matchKind"] == _NOT_MATCHED_BY_SOURCE for each in self.node.list("mergeActionList")):
            raise UnknownNode("MERGEACTION for rows that the source does not match")
        condition = self.node["mergeJoinCondition"] or where["quals"]
        found: frozenset[int] = frozenset()
        for each in where.list("fromlist"):
            found |= self._walk(each, joins, always, is_certain=True)
        source = frozenset(each for each in found if self.source(each) is not Source.JOIN)
        target = frozenset({self.node["resultRelation"]})
        joins.append(Joined(NO_ENTRY, Join.LEFT, source, target, tuple(conjuncts(condition))))
        return source | target, joins, always

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
        # So it is not added to `always`.
        left = self._walk(part["larg"], joins, always, is_certain=is_certain and kind in (Join.INNER, Join.LEFT))
        right = self._walk(part["rarg"], joins, always, is_certain=is_certain and kind in (Join.INNER, Join.RIGHT))
        on = conjuncts(part["quals"])
        joins.append(Joined(part["rtindex"], kind, left, right, tuple(on)))
        if is_certain and kind is Join.INNER:
            always.extend(on)
        return left | right | {part["rtindex"]}

    @property
    def read(self) -> frozenset[int]:
        """The numbers of the entries in the query's FROM, except joins. For UPDATE and DELETE they include the target."""
        return self._tree[0]

    @property
    def joins(self) -> list[Joined]:
        """The query's joins. A join comes after the joins that are inside it."""
        return self._tree[1]

    @property
    def always(self) -> list[Node]:
        """The conditions that hold for every row: those of WHERE and of inner joins.

        A condition inside the nullable side of an outer join is left out.
        """
        return self._tree[2]

    @functools.cached_property
    def target(self) -> int | None:
        """The number of the entry for the table that the query inserts into, updates or deletes from; None for a SELECT."""
        return self.node["resultRelation"] or None

    @functools.cached_property
    def grouping(self) -> list[Node]:
        """The expressions of GROUP BY."""
        references = {each["tleSortGroupRef"] for each in self.node.list("groupClause")}
        found = [each["expr"] for each in self.node.list("targetList") if each["ressortgroupref"] in references]
        return [self.ungrouped(each) for each in found]

    def ungrouped(self, expression: Node) -> Node:
        """The expression that a variable of the entry for GROUP BY stands for, since PostgreSQL 18; others as they are."""
        is_own = expression.kind == "VAR" and expression["varlevelsup"] == 0
        if is_own and self.source(expression["varno"]) is Source.GROUP:
            found: Node = self.entry(expression["varno"]).list("groupexprs")[expression["varattno"] - 1]
            return found
        return expression

    @functools.cached_property
    def blanked(self) -> list[Node]:
        """The expressions that grouping sets may make null. Empty from PostgreSQL 18 on, where the tree itself marks them."""
        is_marked = self.catalog.version >= _GROUP_SETS_ARE_MARKED
        return self.grouping if self.node.list("groupingSets") and not is_marked else []

    @property
    def is_one_group(self) -> bool:
        """Whether the query aggregates all rows into one row. This row exists even if there are no rows to aggregate.

        HAVING, LIMIT or OFFSET may still remove the row.
        """
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

    @functools.cached_property
    def callees(self) -> tuple[Callee, ...]:
        """All functions that the query and its inner queries call, directly or implicitly."""
        return tuple(callees(self.node, self.catalog))

    @property
    def leaves(self) -> Iterator[QueryScope]:
        """The queries that a set operation puts together; the query itself if it is none."""
        parts = [self.node["setOperations"]]
        if parts == [None]:
            yield self
            return
        while parts:
            part = parts.pop()
            if part.kind == "RANGETBLREF":
                yield from self.subquery(part["rtindex"]).leaves
            else:
                parts += [part["larg"], part["rarg"]]

    @property
    def assignments(self) -> list[Node]:
        """The target entries that assign columns of its target: of INSERT, UPDATE, ON CONFLICT, and of a MERGE's actions."""
        if self.command is Command.MERGE:
            actions = [each for each in self.node.list("mergeActionList") if each["commandType"] != Command.DELETE]
            found = [entry for each in actions for entry in each.list("targetList")]
        elif self.command in (Command.INSERT, Command.UPDATE):
            conflict = self.node["onConflict"]
            found = [*self.node.list("targetList"), *(conflict.list("onConflictSet") if conflict is not None else ())]
        else:
            return []
        return [each for each in found if not each["resjunk"]]

    @property
    def series(self) -> list[Node]:
        """The set-returning functions in its columns. If there are several, PostgreSQL fills up the shorter sets with nulls."""
        return [each for each in within(self.node.list("targetList")) if each["funcretset"] or each["opretset"]]

    @property
    def permissions(self) -> list[Node]:
        """The nodes that may say which privileges the query needs: `rteperminfos`, and before PostgreSQL 16 the range table."""
        return [*self.node.list("rteperminfos"), *self.entries]

    @functools.cached_property
    def own(self) -> tuple[Node, ...]:
        """The nodes of this query, without the nodes of the queries inside it."""
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
