"""Personal data in signatures and rows: sealed on the way in, opened on the way out, and never shown by accident."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import new_class
from typing import Any
from uuid import UUID, uuid4

import pytest

from arranging.factories import Factory
from service.database.database import Database
from service.errors import TenantUnbound
from service.personal.marking import Personal, is_personal
from service.settings.settings import Settings
from service.statements import query_files
from service.statements.repository import Repository, query
from service.statements.rows import Row
from service.statements.statement import StatementError
from service.tenancy.binding import UNDECIPHERABLE
from service.tenancy.identity import TenantId
from service.work import Work

HEAD = "-- repository: People\n-- People are for tests.\n\n"
ECHO = """-- name: echo :one
-- What is given, as it comes back, beside the bytes that were sent.
SELECT :id::uuid AS id, :email::bytea AS email, :email AS sealed, :email_index::bytea AS email_index
 WHERE :tenant_id::uuid IS NOT NULL;
"""
FIND = """-- name: find :many
-- What an index leads to.
SELECT octet_length(:email_index) AS size WHERE :tenant_id::uuid IS NOT NULL;
"""
PAGE = """-- name: page :many
-- Which optional lines were sent, by what they take away.
SELECT n AS size FROM generate_series(1, 4) AS n
 WHERE :tenant_id::uuid IS NOT NULL AND :id::uuid IS NOT NULL
   AND (n <> 1 OR octet_length(:email_index::bytea) = 0)    -- when :email_index
   AND (n <> 2 OR octet_length(:phone::bytea) = 0)    -- when :phone
   AND n > :least::int    -- when :least
   AND (n <> 3 OR octet_length(:phone_index::bytea) = 0)    -- when :phone
;
"""


class Echo(Row):
    id: UUID
    email: Personal | None
    sealed: bytes | None
    email_index: bytes | None


class Nobody(Row):
    email: Personal | None


class Size(Row):
    size: int


ROW = UUID(int=7)


async def echo(self: Any, email: Personal | None = None, *, id: UUID = ROW) -> Echo: ...
async def find(self: Any, email: Personal) -> list[Size]: ...
async def page(
    self: Any, *, id: UUID = ROW, email: Personal | None = None, phone: Personal | None = None, least: int | None = None
) -> list[Size]: ...


def define(sql: str, *methods: Callable[..., Any], aggregate: str = "people") -> type[Any]:
    file = query_files.parse(HEAD + sql, Path("people.sql"))
    namespace = {method.__name__: query(method) for method in methods}
    return new_class("People", (Repository,), {"aggregate": aggregate, "file": file}, lambda ns: ns.update(namespace))


People = define(ECHO + "\n" + PAGE, echo, page)


async def test_one_parameter_supplies_the_sealed_value_and_its_index(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    keyring = database.keyring
    assert keyring is not None
    async with Work(database, acme.id) as work:
        first, second = [await People(work.binding).echo("jo@example.com") for _ in range(2)]
    assert first.email == second.email == "jo@example.com"
    assert first.sealed != second.sealed
    assert keyring.open(first.sealed, acme.id, ROW, "people.email") == "jo@example.com"
    assert first.email_index == second.email_index == keyring.index("jo@example.com", acme.id, "people.email")


async def test_what_is_null_stays_null(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        assert await People(work.binding).echo() == Echo(id=ROW, email=None, sealed=None, email_index=None)
        assert (await People(work.binding).echo("")).email == ""


async def test_an_optional_line_is_sent_when_the_plain_text_is_given(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    async with Work(database, acme.id) as work:
        for given, left in (
            ({}, [1, 2, 3, 4]),
            ({"email": "x"}, [2, 3, 4]),
            ({"phone": "x"}, [1, 4]),
            ({"email": "x", "phone": "y", "least": 0}, [4]),
            ({"email": None, "phone": None, "least": 2}, [3, 4]),
            ({"email": "", "least": 1}, [2, 3, 4]),
        ):
            assert [row.size for row in await People(work.binding).page(**given)] == left, given


async def test_what_was_sealed_for_one_column_and_row_of_one_tenant_can_not_be_read_as_anothers(
    database: Database, new: Factory
) -> None:
    acme, globex = await new.tenant("acme"), await new.tenant("globex")
    raw = (
        ECHO.replace(":email::bytea", ":sealed::bytea")
        .replace(":email AS", ":sealed AS")
        .replace(":email_index", "NULL")
    )

    async def echo(self: Any, sealed: bytes, *, id: UUID = ROW) -> Echo: ...

    async with Work(database, acme.id) as work:
        sealed = (await People(work.binding).echo("jo@example.com")).sealed
        assert (await define(raw, echo)(work.binding).echo(sealed)).email == "jo@example.com"
        assert (await define(raw, echo, aggregate="others")(work.binding).echo(sealed)).email == UNDECIPHERABLE
        assert (await define(raw, echo)(work.binding).echo(sealed, id=uuid4())).email == UNDECIPHERABLE
    async with Work(database, globex.id) as work:
        for value in (sealed, b"\x00jo@example.com", b"", b"jo@example.com", sealed[:-1] + b"?"):
            assert (await define(raw, echo)(work.binding).echo(value)).email == UNDECIPHERABLE


async def test_personal_data_needs_a_tenant_and_the_keys(database: Database, settings: Settings) -> None:
    async with Database.open(settings.address("quarry_app"), settings.limits) as without_keys:
        for opened, tenant in ((without_keys, TenantId(uuid4())), (database, None)):
            async with Work(opened, tenant) as work:
                with pytest.raises(TenantUnbound):
                    await People(work.binding).echo("jo@example.com")
                with pytest.raises(TenantUnbound):
                    work.binding.open(b"\x01", "people.email", ROW)


async def test_observers_are_told_nothing_of_it(database: Database, new: Factory) -> None:
    acme = await new.tenant("acme")
    seen: list[object] = []
    async with Work(database, acme.id) as work:
        work.connection.observe = lambda *told: seen.append(told)
        await People(work.binding).echo("jo@example.com")
    assert seen
    assert "jo@" not in repr(seen)


def test_a_row_does_not_show_it() -> None:
    class Person(Row):
        id: UUID = ROW
        name: str
        email: Personal
        phone: Personal | None

    class Outcome(Person):
        applied: bool

    class Household(Row):
        people: list[Person]

    person = Outcome(name="Jo", email="jo@example.com", phone=None, applied=True)
    assert Outcome.personal == Person.personal == {"email", "phone"}
    for shown in (repr(person), str(person), repr(Household(people=[person])), f"{[person]}"):
        assert "jo@" not in shown
        assert "name='Jo', email='***', phone='***'" in shown or "name='Jo' email='***' phone='***'" in shown
    assert person.model_dump()["email"] == "jo@example.com"
    assert is_personal(Personal | None)
    assert not is_personal(str | None)


async def find_plain(self: Any, email: str) -> list[Size]: ...
async def find_index(self: Any, email_index: bytes) -> list[Size]: ...
async def find_other(self: Any, email: Personal, phone: Personal) -> list[Size]: ...
async def page_needed(
    self: Any, *, id: UUID = ROW, email: Personal, phone: Personal | None = None, least: int | None = None
) -> list[Size]: ...
async def echo_nowhere(self: Any, email: Personal | None = None) -> Echo: ...
async def echo_nobody(self: Any, email: Personal | None = None, *, id: UUID = ROW) -> Nobody: ...


@pytest.mark.parametrize(
    ("sql", "method", "message"),
    [
        (FIND, find_plain, "People.find has a parameter 'email' that the statement does not use"),
        (FIND, find_other, "People.find has a parameter 'phone' that the statement does not use"),
        (PAGE, page_needed, "People.page: 'email' stands in an optional line, so it needs '= None'"),
        (
            ECHO.replace(":id::uuid AS id, ", ""),
            echo_nowhere,
            "People.echo seals personal data, so it needs the parameter 'id'",
        ),
        (ECHO, echo_nobody, "Nobody has personal data, so it needs the column 'id'"),
        (ECHO, find, "no method of People binds the statement 'echo'"),
    ],
)
def test_a_signature_that_does_not_fit_is_an_error(sql: str, method: Callable[..., Any], message: str) -> None:
    method.__name__ = method.__name__.partition("_")[0]
    with pytest.raises(StatementError, match=message):
        define(sql, method)


def test_an_index_that_is_handed_over_as_it_is_needs_no_personal_parameter() -> None:
    find_index.__name__ = "find"
    assert define(FIND, find_index).find.statement.parameters == ("email_index", "tenant_id")
    assert define(FIND, find).find.statement.parameters == ("email_index", "tenant_id")
