"""Proves from PostgreSQL's own query tree which result columns can be NULL, and why.

A verdict can be wrong in one direction only. A column with the verdict "never null" contains no nulls. A column with the verdict
"nullable" may turn out never to contain a null.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.checks.proofs import aggregates, functions, origins, verdicts
from service.checks.proofs.cardinality import has_a_row
from service.checks.proofs.presence import Facts
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Command, Join, Link, Node, Source, UnknownNode, arguments, same, variables
from service.checks.proofs.verdicts import Verdict

__all__ = ["Verdict", "of_expression", "prove"]

_UNION, _INTERSECT = 1, 2
_TESTED = frozenset({"OPEXPR", "FUNCEXPR", "SUBSCRIPTINGREF", "COERCEVIAIO", "COALESCEEXPR"})
_OLD, _NEW = 1, 2
"""`VarReturningType`, since PostgreSQL 18."""


def prove(scope: QueryScope, given: frozenset[int] = frozenset(), full: frozenset[int] = frozenset()) -> list[Verdict]:
    """One verdict for each result column of a query.

    `given` are the numbers of the parameters that are never null, `full` those of arrays without a null among their elements.

    Raises UnknownNode for a tree that is not understood.
    """
    return _Prover(given, full).outputs(scope)


def of_expression(
    expression: Node, scope: QueryScope, given: frozenset[int] = frozenset(), full: frozenset[int] = frozenset()
) -> Verdict:
    """The verdict on one expression of a query, for the rows that satisfy the query's conditions. For `given`, see `prove`."""
    return _Prover(given, full).of(expression, scope)


@dataclass
class _Prover:
    given: frozenset[int]
    full: frozenset[int]
    facts: dict[int, Facts] = field(default_factory=dict)
    columns: dict[int, list[Verdict]] = field(default_factory=dict)
    recursive: dict[int, list[Verdict]] = field(default_factory=dict)

    def outputs(self, scope: QueryScope) -> list[Verdict]:
        """The verdicts on a query's result columns."""
        known = self.columns.get(id(scope.node))
        if known is None:
            operations = scope.node["setOperations"]
            if operations is not None:
                known = self._combined(operations, scope)
            else:
                known = [self.of(entry["expr"], scope) for entry in scope.outputs]
            self.columns[id(scope.node)] = known
        return known

    def _combined(self, part: Node, scope: QueryScope) -> list[Verdict]:
        """The verdicts on the columns of a set operation.

        A column of a UNION can be null if it can be null in at least one of the two queries; a column of an INTERSECT, if it can
        be null in both queries; a column of an EXCEPT, if it can be null in the first query.
        """
        if part.kind == "RANGETBLREF":
            return self.outputs(scope.subquery(part["rtindex"]))
        left, right = self._combined(part["larg"], scope), self._combined(part["rarg"], scope)
        if part["op"] == _UNION:
            return [
                first if first.is_nullable else second if second.is_nullable else first
                for first, second in zip(left, right, strict=True)
            ]
        if part["op"] == _INTERSECT:
            return [second if first.is_nullable else first for first, second in zip(left, right, strict=True)]
        return left

    def of(self, expression: Node | None, scope: QueryScope) -> Verdict:
        """The verdict on an expression of the query `scope`. None stands for an unknown expression or a CASE without ELSE."""
        if expression is None:
            return Verdict(True, "an ELSE that is not there")
        if any(same(expression, each) for each in scope.blanked):
            return Verdict(True, "grouping sets leave it out of some groups")
        if self._is_required(expression, scope):
            return Verdict(False, "rows in which it is null are rejected by a condition")
        rule = _RULES.get(expression.kind)
        if rule is None:
            raise UnknownNode(expression.kind)
        return rule(self, expression, scope)

    def any_of(self, expressions: Iterable[Node | None], scope: QueryScope, why: str) -> Verdict:
        """The verdict on a value that is null only if at least one of `expressions` is null.

        If none of them can be null, `why` is the reason in the verdict.
        """
        for each in expressions:
            verdict = self.of(each, scope)
            if verdict.is_nullable:
                return verdict
        return Verdict(False, why)

    def all_of(self, expressions: Iterable[Node], scope: QueryScope, why: str) -> Verdict:
        """The verdict on a value that is null only if all of `expressions` are null.

        If one of them can't be null, the reason in the verdict is `why`, followed by the reason for this one.
        """
        verdicts = [self.of(each, scope) for each in expressions]
        kept = next((each for each in verdicts if not each.is_nullable), None)
        return Verdict(True, "all of its values may be null") if kept is None else Verdict(False, f"{why}: {kept.why}")

    def holding(self, scope: QueryScope) -> Facts:
        """What follows from the conditions of a query about nulls in its columns; computed once for each query."""
        if id(scope.node) not in self.facts:
            self.facts[id(scope.node)] = Facts(scope)
        return self.facts[id(scope.node)]

    def _is_required(self, expression: Node, scope: QueryScope) -> bool:
        """Whether a condition rejects the rows in which an expression, more than a variable, is null."""
        # A query that is one group, or has grouping sets, returns a row even if the conditions reject all.
        if scope.command is not Command.SELECT or scope.is_one_group or scope.node.list("groupingSets"):
            return False
        return expression.kind in _TESTED and any(same(expression, each) for each in self.holding(scope).expressions)

    def variable(self, node: Node, inner: QueryScope) -> Verdict:
        scope = inner.up(node["varlevelsup"])
        number, attribute = node["varno"], node["varattno"]
        name = scope.column(number, attribute)
        if any((number, attribute) == (each["varno"], each["varattno"]) for each in variables(scope.blanked)):
            return Verdict(True, f"{name}: grouping sets leave it out of some groups")
        if node["varreturningtype"] and not _is_returned(scope.command, node["varreturningtype"]):
            return Verdict(True, f"{name}: there may be no row before or after the change")
        if node["varreturningtype"]:
            return self._stored(scope, number, attribute, name)
        facts = self.holding(scope)
        is_changed = scope.command in (Command.UPDATE, Command.INSERT) and number == scope.target
        if (number, attribute) in facts.present and not is_changed:
            return Verdict(False, f"{name}: rows without it are rejected by a condition")
        if filler := facts.filled_by(node):
            return Verdict(True, f"{name}: {filler}")
        return self._stored(scope, number, attribute, name)

    def _stored(self, scope: QueryScope, number: int, attribute: int, name: str) -> Verdict:
        """The verdict on a column of an entry of the range table, for rows in which no outer join has filled it with null."""
        source = scope.source(number)
        if source is Source.RELATION:
            relation = scope.relation(number)
            if attribute <= 0:
                return Verdict(False, f"{name}: a row always has it")
            if relation is not None and attribute in relation.columns and relation.columns[attribute].is_required:
                return Verdict(False, f"{relation.column_name(attribute)} is NOT NULL in {relation.qualified}")
            where = relation.qualified if relation is not None else "a system table or view"
            return Verdict(True, f"{name.partition('.')[2]} may be NULL in {where}")
        if attribute <= 0:
            return Verdict(False, f"{name}: a row always has it")
        if source is Source.SUBQUERY:
            return self.outputs(scope.subquery(number))[attribute - 1]
        if source is Source.CTE:
            return self._expression(scope, number)[attribute - 1]
        if source is Source.JOIN:
            return self._merged(scope, number, attribute)
        if source is Source.GROUP:
            return self.of(scope.entry(number).list("groupexprs")[attribute - 1], scope)
        if source is Source.VALUES:
            rows = scope.entry(number).list("values_lists")
            return self.any_of((row[attribute - 1] for row in rows), scope, f"{name}: no row of VALUES has a null")
        if source is Source.FUNCTION:
            return self._function(scope, number, attribute, name)
        raise UnknownNode(f"VAR of an entry of kind {source.name}")

    def _expression(self, scope: QueryScope, number: int) -> list[Verdict]:
        """The verdicts on the columns of the common table expression to which the entry with this number refers.

        If it is recursive, its columns are first assumed never to be null. Then the verdicts on its query are computed, in which
        this assumption is used. Columns that turn out nullable are assumed nullable from then on, and the computation is
        repeated until nothing changes.
        """
        entry, inner = scope.expression(number)
        key = id(entry)
        if not entry["cterecursive"]:
            return self.outputs(inner)
        if key in self.recursive:
            return self.recursive[key]
        if id(inner.node) in self.columns:
            return self.columns[id(inner.node)]
        self.recursive[key] = [Verdict(False, "every round of the recursion gives a value") for _ in inner.outputs]
        while True:
            self.columns.clear()
            found = self._combined(inner.node["setOperations"], inner)
            if [each.is_nullable for each in found] == [each.is_nullable for each in self.recursive[key]]:
                # The assumption is removed. If this expression is inside another recursive one, whose assumption still changes,
                # it has to be judged again.
                del self.recursive[key]
                self.columns[id(inner.node)] = found
                return found
            self.recursive[key] = [
                new if new.is_nullable else old for new, old in zip(found, self.recursive[key], strict=True)
            ]

    def _merged(self, scope: QueryScope, number: int, attribute: int) -> Verdict:
        """The verdict on a column of the range table entry for a join. With USING, it stands for one column of each side."""
        meant = scope.entry(number).list("joinaliasvars")[attribute - 1]
        joined = next((each for each in scope.joins if each.entry == number), None)
        if joined is not None and joined.kind is Join.FULL and meant.kind == "COALESCEEXPR":
            # Each row of a full join contains a row of at least one side. The column takes its value from that row.
            verdicts = [
                self._stored(scope, each["varno"], each["varattno"], scope.column(each["varno"], each["varattno"]))
                for each in meant["args"]
                if each.kind == "VAR"
            ]
            nullable = next((each for each in verdicts if each.is_nullable), None)
            is_plain = len(verdicts) == len(meant["args"]) and not any(
                join.entry != number for each in meant["args"] for join in self.holding(scope).fillers(each["varno"])
            )
            if is_plain and nullable is None:
                return Verdict(False, "either side of the full join has it")
            return nullable or Verdict(True, "a full join fills one of its sides with nulls")
        return self.of(meant, scope)

    def _function(self, scope: QueryScope, number: int, attribute: int, name: str) -> Verdict:
        entry = scope.entry(number)
        called = entry.list("functions")
        if len(called) == 1 and entry["funcordinality"] and attribute == len(entry["eref"].list("colnames")):
            return Verdict(False, f"{name}: WITH ORDINALITY numbers every row")
        function = scope.catalog.functions.get(called[0]["funcexpr"]["funcid"]) if len(called) == 1 else None
        if function is not None and attribute <= functions.certain_columns(function):
            return Verdict(False, f"{name}: a field of an object has it")
        # The verdict on the call is used only if its result is scalar. A column of a composite result would be one of its fields.
        is_scalar = len(called) == attribute == 1 and called[0]["funccolcount"] == 1
        if is_scalar and called[0]["funcexpr"].kind == "FUNCEXPR":
            return self.of(called[0]["funcexpr"], scope)
        return Verdict(True, f"{name}: a function may answer null in any column")

    def call(self, node: Node, scope: QueryScope) -> Verdict:
        function = scope.catalog.functions.get(node["opfuncid"] or node["funcid"])
        if function is None:
            return Verdict(True, "a function that the catalog doesn't have")
        label = scope.catalog.operators.get(node["opno"] or 0, f"{function.name}()")
        if node["funcretset"] and len(scope.series) > 1:
            return Verdict(True, f"{label} may end before the other sets beside it")
        if node["funcretset"] and function.name == "unnest" and origins.number_of(arguments(node)[0]) in self.full:
            return Verdict(False, "no element of the array is null")
        if node["funcretset"] and function.name == "unnest" and arguments(node)[0].kind == "ARRAYEXPR":
            return self.any_of(arguments(node)[0].list("elements"), scope, "no element of the array is null")
        if functions.is_never_null(function) and not node["funcvariadic"]:
            return Verdict(False, f"{label} is never null")
        given = arguments(node)
        if function.schema == "pg_catalog" and function.name in functions.FIRST_DECIDES and not node["funcvariadic"]:
            return self.of(given[0], scope)
        if function.schema == "pg_catalog" and function.name in functions.ALL_DECIDE:
            return self.all_of(given, scope, f"{label} has a value")
        field = origins.constant(given[0]) if function.name in ("extract", "date_part") else None
        is_extracted = field is not None and field <= functions.EXTRACTED
        if functions.is_total(function, scope.catalog) or (function.schema == "pg_catalog" and is_extracted):
            return self.any_of(given, scope, f"{label} of values that are never null")
        return Verdict(True, f"{label} may answer null")

    def link(self, node: Node, scope: QueryScope) -> Verdict:
        kind = node["subLinkType"]
        if kind == Link.EXISTS:
            return Verdict(False, "EXISTS is true or false")
        if kind == Link.ARRAY:
            return Verdict(False, "ARRAY(…) is an array, empty at worst")
        if kind != Link.SCALAR:
            return Verdict(True, "a comparison with a sub-select may be unknown")
        query = scope.inner(node["subselect"])
        if has_a_row(query):
            return self.outputs(query)[0]
        return Verdict(True, "a scalar sub-select may find no row")

    def compared(self, node: Node, scope: QueryScope) -> Verdict:
        """The verdict on `x = ANY (array)`, which may be null if x or an element of the array is null."""
        array = arguments(node)[1]
        elements = array.list("elements") if array.kind == "ARRAYEXPR" and not array["multidims"] else [None]
        if origins.number_of(array) in self.full & self.given:
            elements = []
        function = scope.catalog.functions.get(node["opfuncid"])
        if function is None or not functions.is_total(function, scope.catalog):
            return Verdict(True, "the operator may answer null")
        return self.any_of([arguments(node)[0], *elements], scope, "every value that is compared is there")


_RULES = {
    **verdicts.RULES,
    "VAR": _Prover.variable,
    "FUNCEXPR": _Prover.call,
    "OPEXPR": _Prover.call,
    "SCALARARRAYOPEXPR": _Prover.compared,
    "SUBLINK": _Prover.link,
    "AGGREF": aggregates.aggregate,
    "WINDOWFUNC": aggregates.window,
}


def _is_returned(command: Command, which: int) -> bool:
    """Whether a row that OLD or NEW in RETURNING stands for is there for certain."""
    return command is Command.UPDATE or (command, which) in {(Command.INSERT, _NEW), (Command.DELETE, _OLD)}
