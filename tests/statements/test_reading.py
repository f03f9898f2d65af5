"""Row models: taken as they come where that is safe, validated where it is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel, Field, Json, ValidationError, computed_field, field_validator

from service.errors import NotFound, StaleVersion
from service.statements import reading
from service.statements.outcomes import changed_row, check_removed
from service.statements.reading import is_plain
from service.statements.rows import Row
from service.tenancy.binding import Binding

M = TypeVar("M", bound=Row)

UNBOUND = Binding(None, None)  # type: ignore[arg-type]
"""Of no tenant and without keys: rows without personal data ask for neither."""


def builder(model: type[M]) -> Callable[[Any], M]:
    """A function from a record to a `model`."""
    read = reading.reader(model)
    return lambda record: read([record], UNBOUND)[0]


class Simple(Row):
    id: int
    name: str | None


class Everything(Row):
    id: UUID
    text: str
    flag: bool
    number: float
    raw: bytes
    at: datetime
    on: date | None
    lasts: timedelta
    ip: IPv4Address | None
    status: Literal["a", "b"]
    tags: list[str]


class WithJson(Row):
    id: int
    extra: Json[dict[str, Any]]


class WithBounds(Row):
    id: Annotated[int, Field(gt=0)]


class WithValidator(Row):
    name: str

    @field_validator("name")
    @classmethod
    def _shout(cls, name: str) -> str:
        return name.upper()


class WithDefault(Row):
    id: int
    name: str = "nobody"


class WithAlias(Row):
    id: int = Field(alias="key")


class Child(BaseModel):
    id: int


class WithChild(Row):
    child: Child


class WithComputed(Row):
    id: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def double(self) -> int:
        return self.id * 2


def test_a_model_of_plain_types_is_plain_and_no_other() -> None:
    assert [is_plain(model) for model in (Simple, Everything, WithDefault, WithComputed)] == [True] * 4
    assert [is_plain(model) for model in (WithJson, WithBounds, WithValidator, WithChild)] == [False] * 4


def test_a_trusted_row_is_the_same_as_a_validated_one() -> None:
    values = {
        "id": uuid4(), "text": "x", "flag": True, "number": 1.5, "raw": b"x", "at": datetime.now(UTC), "on": None,
        "lasts": timedelta(1), "ip": IPv4Address("192.0.2.1"), "status": "a", "tags": ["x"],
    }  # fmt: skip
    build = builder(Everything)
    validated, trusted = build(values), build(values)
    assert validated == trusted == Everything(**values)
    assert validated is not trusted
    assert trusted.model_dump_json() == validated.model_dump_json()
    assert trusted.model_copy(update={"text": "y"}) == Everything(**{**values, "text": "y"})
    assert trusted.model_fields_set == set(values)
    assert (hash(trusted.id), repr(trusted)) == (hash(validated.id), repr(validated))


@pytest.mark.parametrize("after", range(3))
def test_a_row_is_frozen(after: int) -> None:
    build = builder(Simple)
    row = [build({"id": 1, "name": "x"}) for _ in range(after + 1)][-1]
    with pytest.raises(ValidationError, match="frozen"):
        row.id = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "values",
    [
        {"id": 1},
        {"id": 1, "name": "x", "other": 2},
        {"id": None, "name": "x"},
        {"id": "1", "name": "x"},
        {"id": Decimal(1), "name": "x"},
        {"id": 1.0, "name": "x"},
        {"id": True, "name": "x"},
        {"id": 1, "name": b"x"},
    ],
)
def test_the_first_row_of_a_shape_must_fit_without_being_converted(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        builder(Simple)(values)


def test_a_row_of_another_shape_is_validated_again() -> None:
    build = builder(Simple)
    build({"id": 1, "name": "x"})
    assert build({"name": "y", "id": 2}) == Simple(id=2, name="y")
    with pytest.raises(ValidationError):
        build({"id": 1})
    with pytest.raises(ValidationError):
        build({"id": 1, "name": "x", "other": 1})


def test_the_rows_that_follow_are_taken_as_they_come() -> None:
    build = builder(Simple)
    build({"id": 1, "name": "x"})
    assert build({"id": "trusted", "name": None}).id == "trusted"


def test_what_validation_fills_in_is_filled_in_every_time() -> None:
    build = builder(WithDefault)
    assert [build({"id": n}).name for n in range(3)] == ["nobody"] * 3
    build = builder(WithAlias)  # type: ignore[arg-type]
    assert [build({"key": n}).id for n in range(3)] == [0, 1, 2]
    assert [row.double for row in map(builder(WithComputed), [{"id": 1}, {"id": 2}])] == [2, 4]


def test_a_model_with_rules_of_its_own_is_validated_row_by_row() -> None:
    build = builder(WithJson)
    assert [build({"id": n, "extra": '{"a": [1]}'}).extra for n in range(3)] == [{"a": [1]}] * 3
    assert [builder(WithValidator)({"name": "x"}).name for _ in range(2)] == ["X", "X"]
    assert isinstance(builder(WithChild)({"child": {"id": 1}}).child, Child)
    bounded = builder(WithBounds)
    bounded({"id": 1})
    with pytest.raises(ValidationError):
        bounded({"id": 0})


class Outcome(Simple):
    applied: bool


def test_an_outcome_is_the_row_or_the_reason_why_not() -> None:
    done = Outcome(id=1, name=None, applied=True)
    assert changed_row(done) is done
    with pytest.raises(NotFound):
        changed_row(None)  # type: ignore[type-var]
    with pytest.raises(StaleVersion):
        changed_row(done.model_copy(update={"applied": False}))
    check_removed(applied=True)
    with pytest.raises(NotFound):
        check_removed(applied=None)
    with pytest.raises(StaleVersion):
        check_removed(applied=False)
