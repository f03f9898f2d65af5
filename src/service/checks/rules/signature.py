"""Compares parameters with annotations, and result columns with the row model: names, types, nulls and listed texts."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from service.checks import spans
from service.checks.entries import is_array, is_optional
from service.checks.proofs import arrays as arrays_of
from service.checks.proofs import origins, writes
from service.checks.proofs.annotations import Expected, expected
from service.checks.proofs.cardinality import has_a_row
from service.checks.proofs.nullability import Verdict
from service.checks.proofs.tree import location
from service.checks.proving import Proved, Subject
from service.statements.calls import INDEX_SUFFIX
from service.statements.rows import Row
from service.statements.statement import TENANT_PARAMETER


def check(subject: Subject) -> None:
    """Compare the signature of one statement with what is proved of the statement."""
    for proved in subject.proved.values():
        _parameters(subject, proved)
        _writes(subject, proved)
        if subject.entry.model is not None:
            _model(subject, proved, subject.entry.model)
        elif subject.entry.statement.kind == "value":
            _value(subject, proved)


def check_models(subjects: Iterable[Subject]) -> None:
    """Report fields of row models that allow None, or list a text, although no statement with that model returns it."""
    by_model: dict[type[Row], list[Subject]] = {}
    for subject in subjects:
        if subject.entry.model is not None and subject.proved:
            by_model.setdefault(subject.entry.model, []).append(subject)
    for model, found in by_model.items():
        for name, annotation in _fields(model).items():
            _never_null(model, found, name, annotation)
            _never_said(model, found, name, annotation)


def _never_null(model: type[Row], found: Sequence[Subject], name: str, annotation: Any) -> None:
    if not is_optional(annotation):
        return
    verdicts = [each for subject in found for each in _verdicts(subject, name)]
    if not verdicts or any(each.is_nullable for each in verdicts):
        return
    if not [subject for subject in found if subject.note("null", name)]:
        found[0].say(
            "never-null", f"{model.__name__}.{name} may be None, and no statement ever answers NULL there",
            span=spans.of_word(found[0].entry.statement, name), proved=verdicts[0].why,
            remedy=f"take 'None' from {model.__name__}.{name}, or write '-- null: {name} because …'",
        )  # fmt: skip


def _never_said(model: type[Row], found: Sequence[Subject], name: str, annotation: Any) -> None:
    literals = expected(annotation).literals
    known = [
        texts for subject in found for proved in subject.proved.values()
        for (column, _), texts in zip(proved.described.columns, origins.texts(proved.scope), strict=True) if column == name
    ]  # fmt: skip
    if literals is None or not known or any(texts is None for texts in known):
        return
    surplus = literals.difference(*(texts for texts in known if texts is not None))
    if surplus:
        found[0].say(
            "values-never", f"{model.__name__}.{name} lists {', '.join(sorted(surplus))}, which the database never answers",
            span=spans.of_word(found[0].entry.statement, name), remedy="take it from the Literal, or add it to the CHECK",
        )  # fmt: skip


def _verdicts(subject: Subject, column: str) -> list[Verdict]:
    return [
        verdict for proved in subject.proved.values()
        for (name, _), verdict in zip(proved.described.columns, proved.verdicts, strict=True) if name == column
    ]  # fmt: skip


def _fields(model: type[Row]) -> Mapping[str, Any]:
    hints = typing.get_type_hints(model, include_extras=True)
    return {name: hints[name] for name in model.model_fields}


def _model(subject: Subject, proved: Proved, model: type[Row]) -> None:
    statement, fields = subject.entry.statement, _fields(model)
    names = [name for name, _ in proved.described.columns]
    for name in sorted(fields.keys() - set(names)):
        subject.say(
            "column-missing", f"{model.__name__} has a field '{name}' that the statement does not answer",
            proved=f"it answers {', '.join(names)}", remedy=f"add {name} to the columns, or take it from {model.__name__}",
        )  # fmt: skip
    for name in dict.fromkeys(each for each in names if names.count(each) > 1):
        subject.say("column-twice", f"the column '{name}' is answered twice", remedy="name one of them otherwise")
    texts = origins.texts(proved.scope)
    for position, ((name, type_), verdict, allowed) in enumerate(
        zip(proved.described.columns, proved.verdicts, texts, strict=True)
    ):
        if name not in fields:
            subject.say(
                "column-extra", f"the statement answers '{name}', which {model.__name__} does not have",
                span=spans.of_word(statement, name), remedy=f"add it to {model.__name__}, or take it from the columns",
            )  # fmt: skip
        else:
            where = f"{model.__name__}.{name}"
            _elements(subject, proved, where, position, fields[name])
            _column(
                subject, where, name, wanted=expected(fields[name]), type_=subject.catalog.types[type_], verdict=verdict,
                allowed=allowed,
            )  # fmt: skip


def _elements(subject: Subject, proved: Proved, where: str, position: int, annotation: Any) -> None:
    """Report an array that may hold NULLs, for an annotation such as `list[str]` that says that it holds none."""
    arrays = [each for each in (annotation, *typing.get_args(annotation)) if is_array(each)]
    if not arrays or is_optional(typing.get_args(arrays[0])[0]):
        return
    name = proved.described.columns[position][0]
    shown = [(leaf.outputs[position]["expr"], leaf) for leaf in proved.scope.leaves]
    verdicts = [arrays_of.elements(expression, leaf, proved.given) for expression, leaf in shown]
    verdict = next((each for each in verdicts if each is not None and each.is_nullable), None)
    if verdict is not None and not subject.note("notnull", name):
        subject.say(
            "may-hold-null", f"'{name}' may hold NULLs, and {where} is a list without None",
            span=spans.of_word(subject.entry.statement, name), proved=verdict.why,
            remedy=f"annotate it as a list of '… | None', reject the nulls, or write '-- notnull: {name} because …'",
        )  # fmt: skip


def _value(subject: Subject, proved: Proved) -> None:
    """Check the one column of a :value, and its annotation. The method also returns None if there is no row."""
    columns = proved.described.columns
    if len(columns) != 1:
        subject.say(
            "not-a-value", f"a :value has one column, this has {len(columns)}", remedy="answer a :one with a row model"
        )
        return
    name, type_ = columns[0]
    wanted = expected(subject.entry.hints["return"])
    _elements(subject, proved, "what it returns", 0, subject.entry.hints["return"])
    where = f"what {subject.entry.repository.__name__}.{subject.entry.statement.name} returns"
    _column(
        subject, where, name, wanted=wanted, type_=subject.catalog.types[type_], verdict=proved.verdicts[0],
        allowed=origins.texts(proved.scope)[0],
    )  # fmt: skip
    if not wanted.is_optional and not has_a_row(proved.scope) and not subject.note("notnull", name):
        subject.say(
            "may-be-no-row", f"there may be no row, and {where} is never None", span=spans.of_word(subject.entry.statement, name),
            proved="a row is certain only for an aggregate without GROUP BY, a query without tables, or an INSERT of one row",
            remedy=f"annotate it with '| None', or write '-- notnull: {name} because …'",
        )  # fmt: skip


def _column(
    subject: Subject, where: str, name: str, *, wanted: Expected, type_: str, verdict: Verdict, allowed: origins.Texts
) -> None:
    statement = subject.entry.statement
    span = spans.of_word(statement, name)
    if not subject.catalog.names(type_) & wanted.types:
        subject.say(
            "type-differs", f"'{name}' is {type_}, and {where} takes {' or '.join(sorted(wanted.types)) or 'nothing known'}",
            span=span, remedy="change the annotation, or cast the column",
        )  # fmt: skip
    if verdict.is_nullable and not wanted.is_optional and not subject.note("notnull", name):
        subject.say(
            "may-be-null", f"'{name}' may be NULL, and {where} is never None", span=span, proved=verdict.why,
            remedy=f"annotate it with '| None', reject the nulls, or write '-- notnull: {name} because …'",
        )  # fmt: skip
    if wanted.literals is None:
        return
    if allowed is None:
        if not subject.note("values", name):
            subject.say(
                "values-unknown", f"{where} lists texts, and nothing limits '{name}' to them", span=span,
                proved="no CHECK that lists texts holds for it",
                remedy=f"add the CHECK, annotate it with str, or write '-- values: {name} because …'",
            )  # fmt: skip
    elif allowed - wanted.literals:
        surplus = ", ".join(sorted(allowed - wanted.literals))
        subject.say(
            "values-missing", f"'{name}' may be {surplus}, which {where} does not list", span=span,
            proved=f"its CHECK allows {', '.join(sorted(allowed))}", remedy="add it to the Literal",
        )  # fmt: skip


def _parameters(subject: Subject, proved: Proved) -> None:
    entry, statement = subject.entry, subject.entry.statement
    for number, name in enumerate(statement.variants[proved.key].parameters, 1):
        type_ = subject.catalog.types[proved.described.parameters[number - 1]]
        span = spans.of_parameter(statement, name)
        if name == TENANT_PARAMETER:
            if type_ != "uuid":
                subject.say(
                    "type-differs", f":{name} is taken for {type_}", span=span, remedy=f"cast it: :{name}::uuid"
                )
            continue
        is_sealed = name in entry.personal or (name not in entry.hints and name.endswith(INDEX_SUFFIX))
        wanted = expected(entry.annotation(name), is_sealed=is_sealed)
        fits = subject.catalog.names(type_) & wanted.types or (type_ in ("jsonb", "json") and "text" in wanted.types)
        if not fits:
            subject.say(
                "type-differs", f":{name} is taken for {type_}, and its annotation stands for "
                f"{' or '.join(sorted(wanted.types)) or 'nothing known'}",
                span=span, remedy=f"change the annotation, or cast it: :{name}::…",
            )  # fmt: skip
        _uses(subject, proved, number, name, wanted)


def _writes(subject: Subject, proved: Proved) -> None:
    """Report what a column can't hold: NULL if it is NOT NULL, also where an INSERT omits it, and texts that a CHECK excludes."""
    for query in proved.queries:
        for relation, column, expression in writes.assigned(query):
            known = origins.texts_of(expression, query)
            if known is not None and column.allowed is not None and known - column.allowed:
                subject.say(
                    "values-refused", f"{', '.join(sorted(known - column.allowed))} may be written into {relation.qualified}"
                    f".{column.name}, which can't hold it",
                    span=spans.at(subject.entry.statement, proved.key, location(expression)),
                    proved=f"its CHECK allows {', '.join(sorted(column.allowed))}", remedy="write one of these",
                )  # fmt: skip
        for relation, column in writes.omitted_required_columns(query):
            subject.say(
                "null-is-refused", f"the INSERT leaves out {relation.qualified}.{column.name}, which is NOT NULL",
                proved="the column has no default, and no trigger sets it before the row is inserted", remedy="give it a value",
            )  # fmt: skip
        for each in writes.nulls(query, proved.given, proved.full):
            if subject.note("notnull", each.column.name):
                continue
            subject.say(
                "null-is-refused", f"NULL may be written into {each.relation.qualified}.{each.column.name}, which is NOT NULL",
                span=spans.at(subject.entry.statement, proved.key, each.location), proved=each.verdict.why,
                remedy="coalesce it, or leave out the rows that lack it",
            )  # fmt: skip


def _uses(subject: Subject, proved: Proved, number: int, name: str, wanted: Expected) -> None:
    """Report a parameter that may be None and is written into a NOT NULL column, or that may be a text which a CHECK refuses.

    Texts are looked at in columns that it is compared with, too.
    """
    span = spans.of_parameter(subject.entry.statement, name)
    stored = list(origins.written(proved.scope, number))
    for relation, column, is_plain in stored:
        if is_plain and column.is_required and not subject.entry.is_given(name, proved.key):
            subject.say(
                "none-is-refused", f":{name} may be None, and {relation.qualified}.{column.name} is NOT NULL", span=span,
                remedy="take '| None' from its annotation, or coalesce it",
            )  # fmt: skip
    columns = [(relation, column) for relation, column, _ in stored] + list(origins.compared(proved.scope, number))
    for relation, column in columns:
        if column.allowed is not None and wanted.literals is not None and wanted.literals - column.allowed:
            surplus = ", ".join(sorted(wanted.literals - column.allowed))
            subject.say(
                "values-refused", f":{name} may be {surplus}, which {relation.qualified}.{column.name} can't hold", span=span,
                proved=f"its CHECK allows {', '.join(sorted(column.allowed))}", remedy="take it from the Literal",
            )  # fmt: skip
