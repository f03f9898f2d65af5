"""Frames: the text by which a read is sent as one message, without BEGIN and COMMIT.

The text binds the tenant, looks the bearer up if that is asked for, and runs the statement. The frame is the template
`sql/templates/read.sql`; some of its lines are for rows, some for rows that PostgreSQL renders as JSON.
"""

from __future__ import annotations

import datetime as dt
import functools
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from service import files
from service.statements.lexer import Kind, scan
from service.statements.rows import Row
from service.statements.statement import TENANT_PARAMETER, Statement, Variant

Form = Literal["rows", "json"]
Records = Sequence[Mapping[str, Any]]

_TENANT = "entered.tenant_id"
_BEARER, _STATEMENT, _COLUMNS = "/* the bearer */", "/* the statement */", "/* the columns */"
_OPTIONAL = re.compile(r"\s+-- (numbers|bearer|rows|json)$")
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "MERGE", "SHARE"})
"""Words of statements that write or lock rows. `FOR SHARE` and `FOR UPDATE` need a transaction to hold the lock."""
_DATE_TYPES = frozenset({dt.date, dt.datetime})
_RENDERABLE_TYPES: frozenset[Any] = frozenset({str, int, bool, UUID, type(None), *_DATE_TYPES})
"""Types whose values PostgreSQL renders as JSON exactly as pydantic does, those of _DATE_TYPES by way of app.rfc3339()."""


def is_read(statement: Statement) -> bool:
    """Whether the statement can be put into a frame: it only reads, locks nothing, and runs as the serving role.

    A statement with `-- calls:` in its header is no read, because the function may write.
    """
    if statement.scope not in ("tenant", "shared") or statement.kind == "count":
        return False
    words = {lexeme.text.upper() for lexeme in scan(statement.source) if lexeme.kind is Kind.WORD}
    return words.isdisjoint(_WRITES) and not any(note.key == "calls" for note in statement.notes)


def framed_keys(statement: Statement) -> frozenset[int]:
    """The keys of the variants that are sent in a frame. A variant that the header lists (`-- planned:`) is not: a framed text is
    planned once for all values, and this one needs a plan for the values of each call.
    """
    if not is_read(statement):
        return frozenset()
    planned = {note.subject for note in statement.notes if note.key == "planned"}
    optional = {name for group in statement.groups.values() for name in group}
    if planned - optional:
        return frozenset()
    return frozenset(key for key in statement.variants if planned.isdisjoint(statement.given(key)))


def can_render(model: type[Row] | None) -> bool:
    """Whether PostgreSQL renders rows of this model as pydantic does: it has plain types and no personal data."""
    if model is None or model.personal:
        return False
    decorators = model.__pydantic_decorators__
    if any((decorators.field_serializers, decorators.model_serializers, decorators.computed_fields)):
        return False
    fields = model.model_fields.values()
    return all(not each.metadata and each.alias is None and _is_renderable(each.annotation) for each in fields)


def _is_renderable(annotation: Any) -> bool:
    if annotation in _RENDERABLE_TYPES:
        return True
    origin = typing.get_origin(annotation)
    if origin is Literal:
        return all(isinstance(value, str) for value in typing.get_args(annotation))
    return origin in (typing.Union, types.UnionType) and all(map(_is_renderable, typing.get_args(annotation)))


def form_of(statement: Statement, model: type[Row] | None) -> Form:
    """The form in which a GET asks for the rows of a statement: JSON if PostgreSQL can render them."""
    return "json" if statement.kind in ("one", "many") and can_render(model) else "rows"


class FrameResult(NamedTuple):
    """What a framed read has returned. `stamp` are epoch, number and shared number, None if not asked for, or unknown.

    `bearer` is the record of the bearer, None if there is none or it was not asked for. `answer` are the statement's records or,
    rendered, JSON texts.
    """

    stamp: tuple[int, int, int] | None
    bearer: Mapping[str, Any] | None
    answer: Sequence[Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """One framed text. Its parameters are the tenant, those of the bearer's statement and those of the statement itself."""

    text: str
    form: Form
    has_numbers: bool
    bearer_width: int
    """How many columns the bearer's statement has; 0 if it is not part of the text."""
    _own: Sequence[int]
    _of_bearer: Sequence[int]

    def values(self, tenant: UUID, own: Sequence[object], bearer: Sequence[object] = ()) -> list[object]:
        """The values to send. `own` are those of the statement's variant, `bearer` those of the bearer's statement."""
        return [tenant, *[bearer[at] for at in self._of_bearer], *[own[at] for at in self._own]]

    def read(self, records: Sequence[Any]) -> FrameResult:
        """Split the records of a message into numbers, bearer and rows. `records` has at least one."""
        names, first, at = tuple(records[0].keys()), tuple(records[0].values()), 1
        stamp, bearer = None, None
        if self.has_numbers:
            stamp, at = (None if first[1] is None else first[1:4]), 4
        if self.bearer_width:
            if first[at]:
                bearer = dict(zip(names[at + 1 :], first[at + 1 : at + 1 + self.bearer_width], strict=False))
            at += 1 + self.bearer_width
        if self.form == "json":
            return FrameResult(stamp, bearer, first[at] or ())
        if not first[at]:
            return FrameResult(stamp, bearer, ())
        own, cut = names[at + 1 :], slice(at + 1, None)
        return FrameResult(stamp, bearer, [dict(zip(own, tuple(each.values())[cut], strict=True)) for each in records])


def frame(
    variant: Variant,
    form: Form,
    *,
    model: type[Row] | None = None,
    bearer: tuple[Variant, int] | None = None,
    has_numbers: bool = False,
) -> Frame:
    """Put a variant of a statement into a frame.

    `model` is the row model, whose fields become the JSON; the form "json" needs it. `bearer` is the statement that looks the
    bearer up, with the number of its columns. With `has_numbers`, the result has the commit numbers too.
    """
    parts = {"numbers": has_numbers, "bearer": bearer is not None, form: True}
    wanted = {name for name, is_wanted in parts.items() if is_wanted}
    lines = [
        _OPTIONAL.sub("", line)
        for line in template("read.sql")
        if (optional := _OPTIONAL.search(line)) is None or optional[1] in wanted
    ]
    label, _, text = variant.text.partition("*/")
    if form == "json" and model is None:
        raise ValueError("JSON needs the row model")
    inserted = {_COLUMNS: "" if model is None else _columns(model)}
    of_bearer: Sequence[int] = ()
    if bearer is not None:
        inserted[_BEARER], of_bearer = _within(bearer[0], bearer[0].text.partition("*/")[2], 2)
    inserted[_STATEMENT], own = _within(variant, text, 2 + len(of_bearer))
    whole = "\n".join(lines)
    for marker, sql in inserted.items():
        whole = whole.replace(marker, sql)
    return Frame(f"{label}*/ {whole}", form, has_numbers, 0 if bearer is None else bearer[1], own, of_bearer)


@functools.cache
def template(name: str) -> Sequence[str]:
    """The lines of a file in `sql/templates/`, without those that are comments."""
    text = files.sql("templates", name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("--")]


@functools.cache
def _within(variant: Variant, text: str, first: int) -> tuple[str, Sequence[int]]:
    """The text with its parameters numbered from `first` on, and the positions of their values among those of the variant."""
    numbers: dict[int, int] = {}
    pieces = []
    for lexeme in scan(text):
        if lexeme.kind is not Kind.POSITIONAL:
            pieces.append(lexeme.text)
        elif variant.parameters[at := int(lexeme.text[1:]) - 1] == TENANT_PARAMETER:
            pieces.append(_TENANT)
        else:
            pieces.append(f"${numbers.setdefault(at, first + len(numbers))}")
    return "".join(pieces).strip(), tuple(numbers)


def _columns(model: type[Row]) -> str:
    return ", ".join(
        f"app.rfc3339(r.{name}) AS {name}"
        if _DATE_TYPES & {field.annotation, *typing.get_args(field.annotation)}
        else f"r.{name}"
        for name, field in model.model_fields.items()
    )
