"""Checks that a statement can find its rows of each tenant relation through an index while the policies are applied.

Under row-level security a condition can use an index only if its operator is leakproof: another operator might reveal rows
that the policy hides. Plans that are made as a superuser don't show this, because policies don't apply to a superuser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import asyncpg

from service.checks import plans, spans
from service.checks.plans import Plan
from service.checks.proofs import origins
from service.checks.proofs.cardinality import pins_of
from service.checks.proofs.catalog import Index
from service.checks.proofs.expressions import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, Source, arguments, references, same, within
from service.checks.proving import Proved, Subject, report_refusal

_PATTERNS = frozenset({"~~", "~~*", "!~~", "!~~*", "~", "~*", "@@"})


async def check(connection: Any, subject: Subject) -> None:
    """Check all variants of one statement. The result depends on the schema, not on the number of rows in the tables."""
    for proved in subject.proved.values():
        _leaking(subject, proved)
        try:
            plan = await plans.generic(connection, subject, proved, without_scans=True)
        except asyncpg.InsufficientPrivilegeError:
            continue  # privileges.py reports the missing privilege.
        except asyncpg.PostgresError as error:
            # ON CONFLICT, for one, looks for its unique index when the statement is planned.
            report_refusal(subject, proved.key, error)
            continue
        for relation, alias, how in scanned(plan, subject):
            if not subject.note("unindexed", relation):
                name = f"{relation} AS {alias}" if alias != relation else relation
                subject.say(
                    "no-index", f"no index finds the rows of {name}", span=spans.of_word(subject.entry.statement, relation),
                    proved=f"with sequential scans disabled PostgreSQL reads {how}",
                    remedy=f"add an index that begins with tenant_id, or write '-- unindexed: {relation} because …'",
                )  # fmt: skip


def scanned(plan: Plan, subject: Subject) -> Iterator[tuple[str, str, str]]:
    """The tenant relations of which a plan reads the whole table or a whole index: name, alias, and which of the two."""
    indexes = {
        index.name.rpartition(".")[2]: (relation, index)
        for relation in subject.catalog.relations.values() for index in relation.indexes if relation.tenant is not None
    }  # fmt: skip
    for node in plans.nodes(plan):
        if node["Node Type"] == "Seq Scan":
            relation = subject.catalog.named.get(f"{node.get('Schema')}.{node['Relation Name']}")
            if relation is not None and relation.tenant is not None:
                yield relation.name, node["Alias"], "all of it"
        elif node.get("Index Name") in indexes and subject.entry.statement.scope == "tenant":
            relation, index = indexes[node["Index Name"]]
            # A condition only on later columns of the key does not count: PostgreSQL may still read the whole index.
            first = relation.column_name(index.columns[0])
            if index.columns[0] and not re.search(rf"\b{first}\b", node.get("Index Cond", "")):
                yield relation.name, node.get("Alias", relation.name), f"all of {node['Index Name']}"


def _leaking(subject: Subject, proved: Proved) -> None:
    """Report conditions that can't use an index, because PostgreSQL has to check the policy before it evaluates them."""
    for scope in proved.scope.queries:
        for condition in [*scope.always, *(each for join in scope.joins for each in join.on)]:
            for node in _compared(condition):
                if not _has_unanchored_pattern(node, scope):
                    _judge(subject, proved, scope, condition, node)


def _has_unanchored_pattern(comparison: Node, scope: QueryScope) -> bool:
    """Whether a comparison is one with a pattern or a regular expression that may begin with anything: no index finds it."""
    name, sides = scope.catalog.operators.get(comparison["opno"], ""), arguments(comparison)
    if name not in _PATTERNS - {"@@"} or len(sides) < 2:
        return False
    pattern = sides[1]
    while pattern.kind == "OPEXPR" and scope.catalog.operators.get(pattern["opno"]) == "||":
        pattern = arguments(pattern)[0]
    texts = origins.constant(pattern) or ()
    return bool(texts) and all(_is_unanchored(name, text) for text in texts)


def _is_unanchored(operator: str, text: str) -> bool:
    return text[:1] in ("%", "_") if "~~" in operator else not re.match(r"\^\w", text)


def _compared(condition: Node) -> Iterator[Node]:
    """The comparisons in a condition, also those inside AND, OR and NOT."""
    if condition.kind == "BOOLEXPR":
        for each in condition["args"]:
            yield from _compared(each)
    elif condition.kind in ("OPEXPR", "SCALARARRAYOPEXPR", "FUNCEXPR"):
        yield condition


def _judge(subject: Subject, proved: Proved, scope: QueryScope, condition: Node, comparison: Node) -> None:
    operator = comparison["opno"]
    name = scope.catalog.operators.get(operator, "")
    if operator not in scope.catalog.indexable and name not in _PATTERNS:
        return
    for variable in references(comparison):
        if scope.source(variable["varno"]) is not Source.RELATION or not scope.entry(variable["varno"]).list(
            "securityQuals"
        ):
            continue
        relation = scope.relation(variable["varno"])
        leaks = [
            function for each in within(comparison)
            if (function := scope.catalog.functions.get(each["opfuncid"] or each["funcid"])) and not function.is_leakproof
            and any(True for _ in references(each))
        ]  # fmt: skip
        if relation is None or not leaks or subject.note("unindexed", relation.name):
            continue
        column = relation.column_name(variable["varattno"])
        if not any(_leads(index, comparison, variable["varno"]) for index in relation.indexes):
            continue
        if variable["varno"] in pins_of(scope, without=condition).single:
            continue  # Its one row is found by a unique key.
        indexed = [index.name.rpartition(".")[2] for index in relation.indexes if variable["varattno"] in index.touched]
        subject.say(
            "not-leakproof", f"a condition on {relation.name}.{column} reaches no index: {leaks[-1].name}() is not leakproof",
            span=spans.at(subject.entry.statement, proved.key, variable["location"]),
            proved=f"indexes with {column}: {', '.join(indexed)}",
            remedy="compare a text, a number or a stored form of it with =, or write "
            f"'-- unindexed: {relation.name} because …'",
        )  # fmt: skip


def _leads(index: Index, comparison: Node, number: int) -> bool:
    """Whether an index has a key that one side of a comparison is: without policies it might be used."""
    for side in arguments(comparison):
        place = place_of(side)
        keys = index.expressions if isinstance(index.expressions, list) else []
        if (place and place[0] == number and place[1] in index.columns) or any(
            same(side, key, anywhere=True) for key in keys
        ):
            return True
    return False
