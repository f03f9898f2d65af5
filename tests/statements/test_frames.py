"""Frames: which reads can be sent as one message, and the text that is sent."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import Field, Json, field_serializer

from service.personal.marking import Personal
from service.statements import frames, query_files
from service.statements.rows import Row
from service.statements.statement import Statement

TENANT = UUID(int=7)


def statement(sql: str, kind: str = "many", *headers: str) -> Statement:
    head = "\n".join(("-- repository: Things\n-- Things.\n", f"-- name: a :{kind}", *headers, "-- Reads."))
    return query_files.parse(f"{head}\n{sql};\n", Path("things.sql")).statements["a"]


class Thing(Row):
    id: UUID
    name: str | None
    kind: Literal["a", "b"]
    made_at: dt.datetime
    day: dt.date | None


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t (tenant_id) VALUES (:tenant_id) RETURNING id",
        "WITH d AS (DELETE FROM t WHERE tenant_id = :tenant_id RETURNING id) SELECT id FROM d",
        "SELECT id FROM t WHERE tenant_id = :tenant_id FOR UPDATE",
        "SELECT id FROM t WHERE tenant_id = :tenant_id FOR KEY SHARE",
    ],
)
def test_what_writes_or_locks_is_no_read(sql: str) -> None:
    assert not frames.is_read(statement(sql))


def test_a_statement_whose_function_may_write_is_no_read() -> None:
    sql = "SELECT app.prune(:tenant_id)"
    assert frames.is_read(statement(sql, "value"))
    assert not frames.is_read(statement(sql, "value", "-- calls: app.prune because it deletes"))
    assert not frames.is_read(statement("SELECT 1", "value", "-- scope: platform"))


def test_a_variant_that_is_planned_for_its_values_is_not_framed() -> None:
    sql = (
        "SELECT id FROM t WHERE tenant_id = :tenant_id\n AND a = :a  -- when :a\n AND starts_with(b, :b)  -- when :b\n"
    )
    found = statement(sql, "many", "-- planned: b because an index serves it")
    assert frames.framed_keys(statement(sql)) == {0, 1, 2, 3}
    assert frames.framed_keys(found) == {found.key([]), found.key(["a"])}


def test_the_tenant_comes_first_and_every_other_parameter_once() -> None:
    read = statement("SELECT id FROM t WHERE tenant_id = :tenant_id AND a = :a AND b = :b AND (:a > 0 OR c)")
    bearer = statement("SELECT id, role FROM s WHERE hash = :hash AND tenant_id = :tenant_id", "maybe")
    frame = frames.frame(read.variants[0], "rows", bearer=(bearer.variants[0], 2))
    assert "WHERE hash = $2 AND tenant_id = entered.tenant_id" in frame.text
    assert "WHERE tenant_id = entered.tenant_id AND a = $3 AND b = $4 AND ($3 > 0 OR c)" in frame.text
    assert frame.text.startswith("/* things.a */ SELECT entered.tenant_id")
    assert frame.values(TENANT, (TENANT, "A", "B"), ("H", TENANT)) == [TENANT, "H", "A", "B"]


@pytest.mark.parametrize("has_numbers", [False, True])
@pytest.mark.parametrize("has_bearer", [False, True])
@pytest.mark.parametrize("form", ["rows", "json"])
def test_only_what_is_asked_for_is_in_the_text(form: frames.Form, *, has_bearer: bool, has_numbers: bool) -> None:
    read = statement("SELECT id FROM t WHERE tenant_id = :tenant_id").variants[0]
    frame = frames.frame(
        read, form, model=Thing, bearer=(read, 1) if has_bearer else None, has_numbers=has_numbers
    )  # fmt: skip
    assert ("#is_bearer" in frame.text) == has_bearer
    assert ("app.installation" in frame.text) == has_numbers
    assert ("row_to_json" in frame.text) == (form == "json")
    assert "-- numbers" not in frame.text
    assert "/* the" not in frame.text


def test_dates_and_times_are_written_as_the_api_does() -> None:
    frame = frames.frame(statement("SELECT 1 WHERE :tenant_id IS NOT NULL").variants[0], "json", model=Thing)
    assert "r.id, r.name, r.kind, app.rfc3339(r.made_at) AS made_at, app.rfc3339(r.day) AS day" in frame.text


@pytest.mark.parametrize(
    "annotation",
    [float, Decimal, bytes, dt.timedelta, list[str], dict[str, Any], Json[Any], Personal, Literal[1],
     Annotated[str, Field(max_length=3)], str | float],
)  # fmt: skip
def test_a_model_with_other_types_is_not_rendered(annotation: Any) -> None:
    model = type("Other", (Thing,), {"__annotations__": {"odd": annotation}, "__module__": __name__})
    assert frames.can_render(Thing)
    assert not frames.can_render(model)


def test_a_model_that_changes_what_it_writes_is_not_rendered() -> None:
    class Loud(Thing):
        @field_serializer("name")
        def _loud(self, name: str) -> str:
            return name.upper()

    assert not frames.can_render(Loud)
    assert not frames.can_render(None)
