"""Checks cached statements: every change to the data that one reads has to invalidate its cached results."""

from __future__ import annotations

from collections.abc import Iterator

from service.checks.proofs import isolation
from service.checks.proofs.catalog import Relation
from service.checks.proofs.expressions import place_of
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, arguments
from service.checks.proving import Proved, Subject
from service.checks.rules import privileges
from service.statements import cached
from service.tables import SHARED, UNRECORDED, UNTRACKED, bare

_UNTRACKED = frozenset(map(bare, UNTRACKED))


def check(subject: Subject) -> None:
    """Compare the tables and columns whose changes invalidate a cached result with those that any variant reads."""
    if subject.entry.cached is None:
        return
    for proved in subject.proved.values():
        for message, remedy in (*_tables(subject, proved), *_functions(proved), *_row(subject, proved)):
            subject.say("cache-misses", message, remedy=f"{remedy}, or take 'cached' from its method")


def _tables(subject: Subject, proved: Proved) -> Iterator[tuple[str, str]]:
    relations = [each for query in proved.queries for each in _relations(query)]
    read = {each.name for each in relations}
    if missing := sorted(read - set(cached.tables(subject.entry.statement))):
        yield (
            f"it reads {', '.join(missing)}, and a change there would leave its cached answer as it is",
            "name each table after FROM or JOIN",
        )
    # Of the tables that belong to no tenant, the log records changes only to the shared ones.
    nobodys = {each.name for each in relations if each.tenant is None} - SHARED
    if unrecorded := sorted(read & _UNTRACKED | nobodys):
        yield f"it reads {', '.join(unrecorded)}, whose changes are not recorded", "read recorded tables alone"
    if subject.entry.cached is not None and subject.entry.cached.lifetime is not None:
        # Its cached results also expire, which limits how old an unrecorded value can be.
        return
    for _, _, oid, number in privileges.needed(proved.scope, subject.entry.role):
        relation = proved.scope.catalog.relations.get(oid)
        column = None if relation is None else relation.columns.get(number)
        if relation is not None and column is not None and column.name in UNRECORDED.get(relation.name, ()):
            yield f"it reads {relation.name}.{column.name}, whose changes are not recorded", "leave that column out"


def _functions(proved: Proved) -> Iterator[tuple[str, str]]:
    for function in dict.fromkeys(each for query in proved.run for each in isolation.called(query)):
        yield (
            f"{function.name}() runs in it, and what that reads is not known to the cache",
            "read it in the statement",
        )


def _row(subject: Subject, proved: Proved) -> Iterator[tuple[str, str]]:
    """Check a statement that is cached by row.

    It has to read the outermost table only once, and to select the row there whose id is the parameter.
    """
    statement, row = subject.entry.statement, subject.entry.cached and subject.entry.cached.row
    if row is None:
        return
    own = next((each for each in cached.tables(statement) if each not in SHARED), "")
    number = statement.variants[proved.key].parameters.index(row) + 1
    met = [each for query in proved.queries for each in _relations(query) if each.name == own]
    ids = {place for condition in proved.scope.always for place in _equal_to(condition, number, proved.scope)}
    if len(met) != 1 or not any(_is_id(place, own, proved.scope) for place in ids):
        yield (
            f"a change of :{row} of {own} ends its cached answer, which may be of other rows too",
            "cache it without 'row'",
        )


def _relations(query: QueryScope) -> Iterator[Relation]:
    found = (query.catalog.relations.get(each["relid"]) for each in query.entries)
    return (each for each in found if each is not None and each.kind in "rp")


def _equal_to(condition: Node, parameter: int, scope: QueryScope) -> Iterator[tuple[int, int]]:
    if condition.kind == "OPEXPR" and scope.catalog.equates(condition["opno"]):
        one, other = arguments(condition)
        for variable, value in ((one, other), (other, one)):
            if value.kind == "PARAM" and value["paramkind"] == 0 and value["paramid"] == parameter:
                place = place_of(variable)
                if place is not None:
                    yield place


def _is_id(place: tuple[int, int], table: str, scope: QueryScope) -> bool:
    relation = scope.relation(place[0])
    return relation is not None and relation.name == table and relation.columns[place[1]].name == "id"
