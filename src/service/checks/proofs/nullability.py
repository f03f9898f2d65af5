"""Which result columns can be NULL, and why: proved from the server's own tree, never guessed.

The verdicts err in one direction only. A column with the verdict "never null" has no nulls; a column with the verdict
"nullable" may have none in fact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from service.checks.proofs import functions, origins, verdicts
from service.checks.proofs.cardinality import has_a_row
from service.checks.proofs.presence import Facts
from service.checks.proofs.scopes import QueryScope, variables
from service.checks.proofs.tree import Command, Join, Link, Node, Source, UnknownNode, arguments, same, within
from service.checks.proofs.verdicts import Verdict

__all__ = ["Verdict", "of_expression", "prove"]

_UNION, _INTERSECT = 1, 2


def prove(scope: QueryScope, given: frozenset[int] = frozenset(), full: frozenset[int] = frozenset()) -> list[Verdict]:
    """One verdict for each result column of a query.

    `given` are the numbers of the parameters that are never null, `full` those of arrays without a null among their elements.

    Raises UnknownNode for a tree that is not understood.
    """
    return _Prover(given, full).outputs(scope)


def of_expression(
    expression: Node, scope: QueryScope, given: frozenset[int] = frozenset(), full: frozenset[int] = frozenset()
) -> Verdict:
    """The verdict on one expression of a query, as it is in the rows that its conditions leave."""
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

        A column of a UNION can be null if it can be in either query, of an INTERSECT in both, of an EXCEPT in the first.
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
        """The verdict on an expression of a query."""
        if expression is None:
            return Verdict(True, "an ELSE that is not there")
        if any(same(expression, each) for each in scope.blanked):
            return Verdict(True, "grouping sets leave it out of some groups")
        rule = _RULES.get(expression.kind)
        if rule is None:
            raise UnknownNode(expression.kind)
        return rule(self, expression, scope)

    def any_of(self, expressions: Iterable[Node | None], scope: QueryScope, why: str) -> Verdict:
        """The verdict on what is null if any of these is null; `why` is the reason if none of them can be."""
        for each in expressions:
            verdict = self.of(each, scope)
            if verdict.is_nullable:
                return verdict
        return Verdict(False, why)

    def all_of(self, expressions: Iterable[Node], scope: QueryScope, why: str) -> Verdict:
        """The verdict on what is null only if all of these are null; `why` begins the reason if one of them can't be."""
        verdicts = [self.of(each, scope) for each in expressions]
        kept = next((each for each in verdicts if not each.is_nullable), None)
        return Verdict(True, "all of its values may be null") if kept is None else Verdict(False, f"{why}: {kept.why}")

    def holding(self, scope: QueryScope) -> Facts:
        """What the conditions of a query say about nulls in its variables."""
        if id(scope.node) not in self.facts:
            self.facts[id(scope.node)] = Facts(scope)
        return self.facts[id(scope.node)]

    def variable(self, node: Node, inner: QueryScope) -> Verdict:
        scope = inner.up(node["varlevelsup"])
        number, attribute = node["varno"], node["varattno"]
        name = scope.column(number, attribute)
        if any((number, attribute) == (each["varno"], each["varattno"]) for each in variables(scope.blanked)):
            return Verdict(True, f"{name}: grouping sets leave it out of some groups")
        if node["varreturningtype"]:
            return Verdict(True, f"{name}: there may be no row before or after the change")
        facts = self.holding(scope)
        is_changed = scope.command in (Command.UPDATE, Command.INSERT) and number == scope.target
        if (number, attribute) in facts.present and not is_changed:
            return Verdict(False, f"{name}: rows without it are rejected by a condition")
        if filler := facts.filled_by(node):
            return Verdict(True, f"{name}: {filler}")
        return self._stored(scope, number, attribute, name)

    def _stored(self, scope: QueryScope, number: int, attribute: int, name: str) -> Verdict:
        """A column of an entry of the range table, in a row that no outer join has filled with nulls."""
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
        """The verdicts on the columns of a common table expression.

        The columns of a recursive one are first assumed never null. Each round applies the assumption to the query, and
        changes it to nullable for the columns where that shows nulls, until a round changes nothing.
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
                # Forget the assumption: an enclosing recursive expression may still change its own, on which this one depends.
                del self.recursive[key]
                self.columns[id(inner.node)] = found
                return found
            self.recursive[key] = [
                new if new.is_nullable else old for new, old in zip(found, self.recursive[key], strict=True)
            ]

    def _merged(self, scope: QueryScope, number: int, attribute: int) -> Verdict:
        """A column of a join's entry in the range table. For USING it stands for a column of each side."""
        meant = scope.entry(number).list("joinaliasvars")[attribute - 1]
        joined = next((each for each in scope.joins if each.entry == number), None)
        if joined is not None and joined.kind is Join.FULL and meant.kind == "COALESCEEXPR":
            # Each row of a full join has a row of at least one side, and takes its value from there.
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
        # Only for a function with a scalar result: a column of a composite result would be one of its fields.
        if (
            len(called) == 1
            and attribute == 1
            and called[0]["funccolcount"] == 1
            and called[0]["funcexpr"].kind == "FUNCEXPR"
        ):
            return self.of(called[0]["funcexpr"], scope)
        return Verdict(True, f"{name}: a function may answer null in any column")

    def call(self, node: Node, scope: QueryScope) -> Verdict:
        function = scope.catalog.functions.get(node["opfuncid"] or node["funcid"])
        if function is None:
            return Verdict(True, "a function that the catalog doesn't have")
        label = (
            scope.catalog.operators.get(node["opno"], f"{function.name}()") if node["opno"] else f"{function.name}()"
        )
        if node["funcretset"] and len(_series(scope)) > 1:
            return Verdict(True, f"{label} may end before the other sets beside it")
        if node["funcretset"] and function.name == "unnest" and origins.number_of(arguments(node)[0]) in self.full:
            return Verdict(False, "no element of the array is null")
        if functions.is_never_null(function) and not node["funcvariadic"]:
            return Verdict(False, f"{label} is never null")
        if functions.is_total(function, scope.catalog):
            return self.any_of(arguments(node), scope, f"{label} of values that are never null")
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

    def aggregate(self, node: Node, inner: QueryScope) -> Verdict:
        scope = inner.up(node["agglevelsup"] or 0)
        name = self._name(node["aggfnoid"], scope)
        if name == "count":
            return Verdict(False, "count() is a number")
        is_grouped = bool(scope.node.list("groupClause")) and not scope.node.list("groupingSets")
        if not is_grouped:
            return Verdict(True, f"{name}() of no rows is null")
        if node["aggfilter"] is not None:
            return Verdict(True, f"{name}() FILTER may leave no row")
        if name in functions.COLLECTING:
            return Verdict(False, f"{name}() of a group, which has a row")
        if name in functions.KEEPING:
            return self.any_of(
                (each["expr"] for each in node.list("args")[:1]), inner, f"{name}() of values that are never null"
            )
        return Verdict(True, f"{name}() may answer null")

    def window(self, node: Node, scope: QueryScope) -> Verdict:
        name = self._name(node["winfnoid"], scope)
        if name in functions.RANKS:
            return Verdict(False, f"{name}() is a number")
        return Verdict(True, f"{name}() over an empty frame is null")

    @staticmethod
    def _name(oid: int, scope: QueryScope) -> str:
        function = scope.catalog.functions.get(oid)
        return function.name if function is not None and function.schema == "pg_catalog" else "?"

    def compared(self, node: Node, scope: QueryScope) -> Verdict:
        """`x = ANY (array)`: unknown where x or an element is null."""
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
    "AGGREF": _Prover.aggregate,
    "WINDOWFUNC": _Prover.window,
}


def _series(scope: QueryScope) -> list[Node]:
    """The set-returning functions in a query's columns. Of several sets the shorter ones are filled up with nulls."""
    return [each for each in within(scope.node.list("targetList")) if each["funcretset"] or each["opretset"]]
