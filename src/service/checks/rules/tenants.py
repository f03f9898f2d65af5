"""The two safeguards of every table with rows of tenants: its policy, and a condition that names the tenant."""

from __future__ import annotations

from service.checks import spans
from service.checks.proofs import isolation
from service.checks.proofs.isolation import Locked
from service.checks.proofs.tree import Command
from service.checks.proving import Proved, Subject


def check(subject: Subject) -> None:
    """Check every variant."""
    for proved in subject.proved.values():
        _locks(subject, proved)


def _locks(subject: Subject, proved: Proved) -> None:
    statement = subject.entry.statement
    for each in proved.locks:
        if statement.scope == "platform":
            continue  # The policies allow a platform statement to see all tenants, and its scope declares that.
        name = (
            f"{each.relation.qualified} AS {each.alias}"
            if each.alias != each.relation.name
            else each.relation.qualified
        )
        span = spans.at(statement, proved.key, each.location)
        if span == spans.whole(statement):
            span = spans.of_word(statement, each.relation.name)
        if not each.policy:
            subject.say(
                "policy-missing", f"{name} is {'written' if each.is_written else 'read'} without its policy", span=span,
                proved=_policies(each), remedy="add the policy tenant_id = app.current_tenant(), enabled and forced",
            )  # fmt: skip
        if statement.scope == "shared":
            subject.say(
                "tenant-in-shared", f"{name} belongs to tenants, and the statement to none", span=span,
                remedy="let it name :tenant_id, without '-- scope: shared'",
            )  # fmt: skip
        elif each.is_moved:
            subject.say(
                "tenant-assigned", f"it assigns the tenant of {name}", span=spans.of_word(statement, "SET"),
                proved="a row keeps the tenant that it was inserted with",
                remedy=f"take {each.relation.column_name(each.relation.tenant or 0)} from what it sets",
            )  # fmt: skip
        elif not each.predicate and not subject.note("unnamed", each.relation.name):
            is_insert = each.is_written and proved.scope.command is Command.INSERT
            verb, column = "inserts" if is_insert else "uses", each.relation.column_name(each.relation.tenant or 0)
            subject.say(
                "tenant-not-named", f"it {verb} {name} and does not name its tenant", span=span,
                proved=f"row-level security is the only lock: {each.policy or 'and it is missing too'}",
                remedy=f"add {column} to its columns, with the value :tenant_id"
                if is_insert
                else f"add {each.alias}.{column} = :tenant_id where all must hold",
            )  # fmt: skip
    for name in sorted({name for query in proved.run for name in isolation.owned_views(query)}):
        subject.say(
            "view-with-owners-rights", f"{name} is read with the rights of its owner",
            span=spans.of_word(statement, name.partition(".")[2]),
            proved="the policies of the one who asks are not applied inside it",
            remedy="ALTER VIEW … SET (security_invoker = true)",
        )  # fmt: skip


def _policies(lock: Locked) -> str:
    relation = lock.relation
    if not relation.is_secured:
        return f"{relation.qualified} has no row-level security"
    found = [f"{name}: {using}" for name, (using, _) in relation.policies.items()]
    return "; ".join(found) or f"{relation.qualified} has no policy"
