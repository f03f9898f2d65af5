"""`@query`: a signature bound to its statement, every misfit found when the class is defined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import new_class
from typing import Any

import pytest
from pydantic import BaseModel

from service.statements import query_files
from service.statements.repository import Repository, query
from service.statements.rows import Row
from service.statements.statement import StatementError

HEAD = "-- repository: Things\n-- Things are for tests.\n\n"
FIND = "-- name: find :one\n-- One thing.\nSELECT id FROM things WHERE tenant_id = :tenant_id AND id = :id;\n"
PAGE = (
    "-- name: page :many\n-- A page of things.\nSELECT id FROM things WHERE tenant_id = :tenant_id\n"
    "   AND (a, b) < (:after_a, :after_b) -- when :after_b\n LIMIT :limit;\n"
)
COUNT = "-- name: touch :count\n-- Touches things.\nUPDATE things SET at = now() WHERE tenant_id = :tenant_id;\n"
VALUE = "-- name: head :value\n-- The head.\nSELECT head FROM app.heads WHERE tenant_id = :tenant_id;\n"


class Thing(Row):
    id: int


class Plain(BaseModel):
    id: int


def define(sql: str, *methods: Callable[..., Any], name: str = "Things", **more: Any) -> type[Repository]:
    file = query_files.parse(HEAD + sql, Path("things.sql"))
    namespace = {method.__name__: query(method) for method in methods}
    return new_class(
        name, (Repository,), {"aggregate": "things", "file": file, **more}, lambda ns: ns.update(namespace)
    )


async def find(self: Any, id: int) -> Thing: ...
async def page(
    self: Any, *, after_a: int | None = None, after_b: int | None = None, limit: int = 50
) -> list[Thing]: ...
async def touch(self: Any) -> int: ...
async def head(self: Any) -> int: ...


def test_a_class_whose_signatures_fit_keeps_them_and_tells_what_it_binds() -> None:
    things = define(FIND + PAGE + COUNT + VALUE, find, page, touch, head)
    bound = vars(things)["find"]
    assert (bound.__name__, bound.__qualname__, bound.__doc__) == ("find", "Things.find", "One thing.")
    assert (bound.statement.name, bound.model) == ("find", Thing)
    assert vars(things)["head"].model is None
    assert (things.aggregate, things.noun) == ("things", "thing")
    assert define(FIND, find, noun="matter").noun == "matter"


def test_a_method_that_declares_no_query_is_left_alone() -> None:
    def own(self: Any) -> int:
        return 1

    file = query_files.parse(HEAD + FIND, Path("things.sql"))
    things = new_class(
        "Things", (Repository,), {"aggregate": "things", "file": file}, lambda ns: ns.update(find=query(find), own=own)
    )
    assert vars(things)["own"] is own


def misfit(sql: str, *methods: Callable[..., Any], name: str = "Things") -> str:
    with pytest.raises(StatementError) as refused:
        define(sql, *methods, name=name)
    message, remedy = str(refused.value), refused.value.remedy
    assert message.startswith("things.sql:4: ")
    return f"{message.removeprefix('things.sql:4: ')} | {remedy}"


def renamed(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    async def copy(self: Any, id: int) -> Thing: ...

    copy.__name__ = name
    return copy


def test_names_that_do_not_meet_are_errors_with_a_suggestion() -> None:
    assert (
        misfit(FIND, renamed(find, "finds")) == "no method of Things binds the statement 'find' | did you mean 'finds'?"
    )
    assert (
        misfit(FIND, find, renamed(find, "fund")) == "Things.fund has no statement in things.sql | did you mean 'find'?"
    )
    assert misfit(FIND, find, name="Others") == "the file belongs to 'Things', not to Others | "


def test_parameters_that_do_not_meet_are_errors_with_a_suggestion() -> None:
    async def find(self: Any, id: int, colour: str) -> Thing: ...

    assert (
        misfit(FIND, find)
        == "Things.find has a parameter 'colour' that the statement does not use | take it away, or use it"
    )

    async def find(self: Any, idd: int) -> Thing: ...  # type: ignore[no-redef]

    assert (
        misfit(FIND, find)
        == "Things.find has a parameter 'idd' that the statement does not use | the statement has :id"
    )

    async def find(self: Any) -> Thing: ...  # type: ignore[no-redef]

    assert misfit(FIND, find) == "the statement uses :id, which Things.find does not have | known are "

    async def find(self: Any, id: int, tenant_id: int) -> Thing: ...  # type: ignore[no-redef]

    assert misfit(FIND, find) == "Things.find can't have a parameter 'tenant_id' | the binding supplies it"

    async def find(self: Any, *ids: int) -> Thing: ...  # type: ignore[no-redef]

    assert (
        misfit(FIND, find)
        == "Things.find has a parameter 'ids' that the statement does not use | the statement has :id"
    )


def test_the_parameters_of_an_optional_line_may_be_left_out() -> None:
    for signature in ("after_a: int, after_b: int | None = None", "after_a: int | None = None, after_b: int = 1"):
        namespace: dict[str, Any] = {"Thing": Thing, "Any": Any}
        exec(f"async def page(self: Any, *, {signature}, limit: int = 5) -> list[Thing]: ...", namespace)
        namespace["page"].__module__ = __name__
        wanted = "after_a" if "after_a: int," in signature else "after_b"
        assert (
            misfit(PAGE, namespace["page"])
            == f"Things.page: '{wanted}' stands in an optional line, so it needs '= None' | "
        )


async def as_model(self: Any) -> Thing: ...
async def as_maybe(self: Any) -> Thing | None: ...
async def as_list(self: Any) -> list[Thing]: ...
async def as_int(self: Any) -> int: ...
async def as_maybe_int(self: Any) -> int | None: ...
async def as_none(self: Any) -> None: ...
async def as_str(self: Any) -> str: ...
async def as_plain(self: Any) -> Plain: ...
async def as_union(self: Any) -> Thing | Plain | None: ...
async def as_anything(self: Any): ...  # type: ignore[no-untyped-def]


SHAPES = (
    as_model, as_maybe, as_list, as_int, as_maybe_int, as_none, as_str, as_plain, as_union, as_anything,
)  # fmt: skip
FITTING = {
    "one": {as_model},
    "maybe": {as_maybe},
    "many": {as_list},
    "value": {as_int, as_maybe_int, as_str},
    "count": {as_int},
}
WANTED = {
    "one": "Model with a Row model",
    "maybe": "Model | None with a Row model",
    "many": "list[Model] with a Row model",
    "value": "a single value",
    "count": "",
}


@pytest.mark.parametrize("kind", FITTING)
def test_the_annotation_says_what_the_result_kind_says(kind: str) -> None:
    sql = f"-- name: shape :{kind}\n-- A shape.\nSELECT 1 AS id FROM things WHERE tenant_id = :tenant_id;\n"
    for shape in SHAPES:
        shape.__name__ = "shape"
        if shape in FITTING[kind]:
            define(sql, shape)
        else:
            assert misfit(sql, shape).startswith(f"Things.shape is a :{kind}, so it returns {WANTED[kind]}")


def test_every_repository_of_the_service_binds_every_statement_of_its_file() -> None:
    for repository in Repository.__subclasses__():
        if repository.__module__.startswith("service."):
            file = query_files.of_aggregate(repository.aggregate)
            assert {name for name, value in vars(repository).items() if hasattr(value, "statement")} == set(
                file.statements
            )
            assert file.repository == repository.__name__
