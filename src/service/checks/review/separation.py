"""Says in words whether a statement can return or change another tenant's row, and why.

This depends on the two locks on each table whose rows belong to tenants: the table's policy (row-level security), and the
condition in the statement itself that compares the row's tenant with :tenant_id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.checks.proofs import isolation
from service.checks.proving import Subject
from service.checks.review.facts import Call, Lock


def said(subject: Subject, locks: Sequence[Lock], calls: Sequence[Call]) -> tuple[bool | None, str]:
    """Whether it is proved that the statement neither returns nor changes rows of another tenant; and the reason, in words.

    The first value is None if the scope is `platform` (such a statement works for all tenants), or if the scope is `shared` and
    the statement uses no table whose rows belong to tenants. The words also name each function that the statement calls.
    """
    statement = subject.entry.statement
    if unproved := len(statement.variants) - len(subject.proved):
        return False, f"Unknown: nothing is proved of {unproved} of its {len(statement.variants)} variants."
    beside = "".join(
        f" It calls {each.name}(), which runs with {each.rights}"
        + (f", because {each.reason}." if each.reason else ", and nothing says why.")
        for each in calls
    )
    if statement.scope == "platform":
        return None, f"It works for all tenants, as its scope says, as the role {subject.entry.role}." + beside
    open_ = [each for each in locks if not each.policy and not each.predicate]
    if open_:
        missing = _joined(each.table for each in open_)
        return False, f"It can: {missing} is used without its policy and without naming the tenant." + beside
    views = [name for proved in subject.proved.values() for name in isolation.owned_views(proved.scope)]
    if views:
        return False, f"It can: {_joined(views)} is read with the rights of its owner." + beside
    if not locks:
        none = "it names no table that holds rows of tenants."
        if statement.scope == "shared":
            return None, f"It belongs to no tenant: {none}" + beside
        return True, f"No: {none}" + beside
    return True, f"No: {_locked(locks)}." + beside


def _locked(locks: Sequence[Lock]) -> str:
    single = [each for each in locks if not each.policy or not each.predicate]
    if not single:
        names = _joined(each.table for each in locks)
        where = f"{names} is" if len(locks) == 1 else f"each of the {len(locks)} uses of {names} is"
        return f"{where} locked twice, by row-level security and by the statement's own :tenant_id"
    alone = _joined(
        f"{each.table} by {'row-level security' if each.policy else 'its own :tenant_id'} alone"
        + (f", because {each.reason}" if each.reason else "")
        for each in single
    )
    rest = "; every other use is locked twice, by both" if len(single) < len(locks) else ""
    return f"{alone}{rest}"


def _joined(words: Iterable[str]) -> str:
    found = list(dict.fromkeys(words))
    return " and ".join(filter(None, (", ".join(found[:-1]), found[-1]))) if found else ""
