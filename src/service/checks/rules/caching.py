"""Cached statements: that their answers are given up whenever a table is touched that the tree says they read."""

from __future__ import annotations

from service.checks.proofs import isolation
from service.checks.proving import Proved, Subject
from service.statements import cached


def check(subject: Subject) -> None:
    """The tables that end a cached answer, against those that the statement reads in some variant."""
    if subject.entry.cached is None:
        return
    statement = subject.entry.statement
    known = set(cached.tables(statement))
    for proved in subject.proved.values():
        if missing := sorted(_read(proved) - known):
            subject.say(
                "cache-misses", f"it reads {', '.join(missing)}, and a change there would leave its cached answer as it is",
                proved=f"the cache knows of {', '.join(sorted(known))}",
                remedy="name each table after FROM or JOIN in capitals, or take 'cached' from its method",
            )  # fmt: skip
        for function in isolation.called(proved.scope):
            subject.say(
                "cache-misses", f"it calls {function.name}(), and what that reads is not known to the cache",
                remedy="read the tables in the statement itself, or take 'cached' from its method",
            )  # fmt: skip


def _read(proved: Proved) -> set[str]:
    relations = proved.scope.catalog.relations
    found = (relations.get(each["relid"]) for query in proved.scope.queries for each in query.entries)
    return {each.name for each in found if each is not None and each.kind in "rp"}
