"""Collects the facts about a statement for reviewers, and describes in words what the checks have proved about it."""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from typing import Any

from service.checks.findings import printed
from service.checks.plans import Plan
from service.checks.proofs import isolation
from service.checks.proofs.cardinality import Proof, limit
from service.checks.proofs.catalog import Relation
from service.checks.proofs.nullability import Verdict
from service.checks.proofs.scopes import QueryScope
from service.checks.proving import Proved, Subject
from service.checks.review import planned, separation, uses
from service.checks.review.facts import Answer, Call, CalledBy, Facts, Held, Lock, Parameter, Remark, Step, Table
from service.checks.review.spelling import spelled
from service.checks.runs import growth
from service.repos.sessions import Sessions
from service.statements import frames
from service.statements.calls import INDEX_SUFFIX
from service.statements.statement import TENANT_PARAMETER

_SHARED_SCHEMA = "app"


def state(
    subject: Subject,
    *,
    callers: Sequence[CalledBy] = (),
    plan: Plan | None = None,
    found: Mapping[int, Plan] | None = None,
) -> Facts:
    """All facts about one statement.

    `plan` is the plan of the variant with all optional lines, which reviewers are shown. `found` maps the key of each variant
    that was planned to its plan; the indexes that the statement uses are taken from these plans.
    """
    entry, statement = subject.entry, subject.entry.statement
    locks = _locks(subject)
    calls = tuple(_calls(subject))
    is_isolated, isolated = separation.said(subject, locks, calls)
    return Facts(
        label=entry.label, name=statement.name, repository=entry.repository.__name__, kind=statement.kind,
        scope=statement.scope, role=entry.role,
        grows=growth.declared(subject), doc=statement.doc,
        file=f"sql/queries/{statement.place.path.name}", line=statement.place.line, source=statement.source,
        source_line=statement.body.line, variants=len(statement.variants), conditions=statement.conditions,
        remarks=tuple(Remark(each.key, each.subject, each.reason) for each in statement.notes if each.key != "grows"),
        parameters=tuple(_parameters(subject)), returns=spelled(entry.hints["return"]),
        answers=tuple(_answers(subject)), rows=_rows(subject), orders=tuple(_orders(subject)),
        tables=tuple(_tables(subject)), accesses=tuple(planned.accesses(found or {}, statement)),
        locks=locks, is_isolated=is_isolated,
        isolation=isolated, calls=calls, callers=tuple(callers),
        plan=_plan(subject, plan), sent=_sent(subject), findings=tuple(printed(subject.findings)),
    )  # fmt: skip


def table_name(relation: Relation) -> str:
    """A table's name as statements write it: with the schema if the schema is `app`, otherwise without a schema."""
    return relation.qualified if relation.schema == _SHARED_SCHEMA else relation.name


def _sent(subject: Subject) -> str:
    entry, lookup = subject.entry, vars(Sessions)["authenticate"]
    if not subject.framed:
        return ""
    return frames.frame(
        entry.statement.variants[max(subject.framed)], frames.form_of(entry.statement, entry.model),
        model=entry.model, has_numbers=entry.statement.kind == "many",
        bearer=(lookup.statement.variants[0], len(lookup.model.model_fields)),
    ).text  # fmt: skip


def _plan(subject: Subject, plan: Plan | None) -> Step | None:
    if plan is None:
        return None
    widest = subject.entry.statement.variants[subject.widest.key]
    return planned.steps(plan, widest.parameters, subject.catalog.version)


def _parameters(subject: Subject) -> list[Parameter]:
    entry, statement = subject.entry, subject.entry.statement
    if not subject.proved:
        return []
    widest = subject.widest
    line_of = {name: line for line, names in statement.groups.items() for name in names}
    found = []
    for number, name in enumerate(statement.variants[widest.key].parameters, 1):
        line = line_of.get(name, "")
        is_given = all(entry.is_given(name, key) for key, each in statement.variants.items() if name in each.parameters)
        if name == TENANT_PARAMETER:
            annotation, given = "TenantId", "supplied by the binding; no caller can give it"
        else:
            annotation = spelled(entry.annotation(name))
            if name not in entry.hints and name.endswith(INDEX_SUFFIX):
                annotation = f"{annotation}, as the blind index of {name.removesuffix(INDEX_SUFFIX)}"
            elif name in entry.personal:
                annotation += ", sealed"
            given = "never None" if is_given else "may be None, which SQL sees as NULL"
            if line:
                given = f"None leaves its line out (when :{line})"
        type_ = subject.catalog.types[widest.described.parameters[number - 1]]
        words = tuple(uses.of_parameter(widest.scope, number))
        found.append(Parameter(name, type_, annotation, not is_given, given, line, words))
    return found


def _answers(subject: Subject) -> list[Answer]:
    entry = subject.entry
    if not subject.proved:
        return []
    fields = typing.get_type_hints(entry.model, include_extras=True) if entry.model is not None else {}
    found = []
    for position, (name, type_) in enumerate(subject.widest.described.columns):
        verdict = _worst([each.verdicts[position] for each in subject.proved.values()])
        if entry.model is not None:
            becomes = f"{entry.model.__name__}.{name}: {spelled(fields[name])}" if name in fields else "no field"
        else:
            becomes = spelled(entry.hints["return"])
        found.append(Answer(name, subject.catalog.types[type_], verdict.is_nullable, verdict.why, becomes))
    return found


def _worst(verdicts: Sequence[Verdict]) -> Verdict:
    return next((each for each in verdicts if each.is_nullable), verdicts[0])


def _rows(subject: Subject) -> Held:
    """How many rows the statement can return or, if its kind is `:count`, how many it can insert, update or delete."""
    if not subject.proved:
        return Held("unproved", holds=False, why="PostgreSQL refuses it, or the checks do not understand it")
    proofs = [each.one for each in subject.proved.values()]
    verb = "touches" if subject.entry.statement.kind == "count" else "answers"
    worst = _worst_proof(proofs)
    if worst.holds:
        return Held(f"{verb} one row at most", holds=True, why=worst.why)
    bound = _limit(subject.widest.scope, _names(subject, subject.widest))
    if bound:
        return Held(f"{verb} {bound} rows at most", holds=True, why="")
    return Held(f"{verb} as many rows as there are", holds=False, why=worst.why)


def _worst_proof(proofs: Sequence[Proof]) -> Proof:
    return next((each for each in proofs if not each.holds), proofs[0])


def _orders(subject: Subject) -> list[Held]:
    """For each query with a LIMIT in the statement: whether the query's ORDER BY is total.

    A total order is one in which no two rows are equal. With another order, the pages of a list may skip or repeat rows.
    """
    found: dict[int, list[tuple[str, Proof]]] = {}
    for proved in subject.proved.values():
        for position, (scope, proof) in enumerate(proved.orders):
            found.setdefault(position, []).append((_limit(scope, _names(subject, proved)), proof))
    held = []
    for pairs in found.values():
        bound, proof = next((each for each in pairs if not each[1].holds), pairs[0])
        held.append(Held(f"LIMIT {bound}", holds=proof.holds, why=proof.why))
    return held


def _names(subject: Subject, proved: Proved) -> Sequence[str]:
    return subject.entry.statement.variants[proved.key].parameters


def _limit(scope: QueryScope, names: Sequence[str]) -> str:
    """A query's LIMIT as text: `1`, `:limit`, or `an expression` if it is neither number nor parameter; '' without a LIMIT."""
    given: Any = scope.node["limitCount"]
    if given is None:
        return ""
    if (number := limit(scope)) is not None:
        return str(number)
    while given.kind == "FUNCEXPR" and len(given.list("args")) == 1:
        given = given["args"][0]
    return f":{names[given['paramid'] - 1]}" if given.kind == "PARAM" else "an expression"


def _tables(subject: Subject) -> list[Table]:
    found: dict[str, tuple[list[str], bool]] = {}
    for proved in subject.proved.values():
        for relation, commands in uses.tables(proved.scope):
            found.setdefault(table_name(relation), ([], relation.tenant is not None))[0].extend(commands)
    return [Table(name, tuple(dict.fromkeys(words)), is_tenants) for name, (words, is_tenants) in found.items()]


def _locks(subject: Subject) -> tuple[Lock, ...]:
    """The locks of each use of a table whose rows belong to tenants.

    A lock that is missing in any variant of the statement is shown as missing.
    """
    notes = {each.subject: each.reason for each in subject.entry.statement.notes if each.key == "unnamed"}
    found: dict[tuple[str, str, bool, int], Lock] = {}
    for proved in subject.proved.values():
        seen: dict[tuple[str, str, bool], int] = {}
        for each in proved.locks:
            place = (table_name(each.relation), each.alias, each.is_written)
            seen[place] = seen.get(place, 0) + 1
            key = (*place, seen[place])
            lock = Lock(*place, each.policy, each.predicate, notes.get(each.relation.name, ""))
            known = found.get(key)
            if known is not None:
                policy, predicate = known.policy and lock.policy, known.predicate and lock.predicate
                lock = Lock(*place, policy, predicate, known.reason)
            found[key] = lock
    return tuple(found.values())


def _calls(subject: Subject) -> list[Call]:
    reasons = {each.subject: each.reason for each in subject.entry.statement.notes if each.key == "calls"}
    found = {function for proved in subject.proved.values() for function in isolation.called(proved.scope)}
    return [
        Call(each.qualified, "its owner's rights" if each.is_definer else "the caller's rights",
             reasons.get(each.qualified, "" if each.is_definer or not each.is_immutable else "it is immutable"))
        for each in sorted(found, key=lambda each: each.qualified)
    ]  # fmt: skip
