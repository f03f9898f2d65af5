"""Names and addresses that look like others, or like nothing."""

from __future__ import annotations

from typing import Any

import pytest

from arranging.accounts import PASSWORD, NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work


async def test_an_address_that_looks_the_same_is_the_same(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    draft = {"display_name": "A", "password": "correct horse battery", "email": "adé@müller.example"}
    assert (await client.post("/v1/users", json=draft)).status_code == 201
    for spelled in ("ade\u0301@mu\u0308ller.example", "ADÉ@xn--mller-kva.EXAMPLE"):
        problem(await client.post("/v1/users", json={**draft, "email": spelled}), 409, "conflict")
        body = {"tenant": "acme.example", "email": spelled, "password": draft["password"]}
        assert (await (await api.client()).post("/v1/sessions", json=body)).status_code == 201


@pytest.mark.parametrize("name", ["a\u200bb", "\u202eevil", "\u3164", "a\u2066b", "\u200d\u200d"])
async def test_a_name_with_what_can_not_be_seen_is_refused(api: Api, acme: NewTenant, name: str) -> None:
    client = await api.client(acme)
    assert wrong_fields(await client.post("/v1/campaigns", json={"name": name})) == ["name"]
    draft = {"display_name": name, "password": "correct horse battery", "email": "a@acme.example"}
    assert wrong_fields(await client.post("/v1/users", json=draft)) == ["display_name"]


async def test_a_name_is_kept_in_its_composed_form(api: Api, acme: NewTenant) -> None:
    answer = await (await api.client(acme)).post("/v1/campaigns", json={"name": "E\u0301te\u0301"})
    assert answer.json()["name"] == "\u00c9t\u00e9"


async def test_addresses_of_before_are_found_changed_and_still_sign_in(
    api: Api, database: Database, new: Factory, acme: NewTenant, quarry: Any
) -> None:
    await new.user(acme.id, email="ade\u0301@mu\u0308ller.example")
    taken = await new.user(acme.id, email="bo\u0308@acme.example")
    await new.user(acme.id, email="b\u00f6@acme.example")
    found = quarry("pii", "spelling")
    assert (found.status, "spelled otherwise: 2 users\n" in found.err) == (1, True)
    changed = quarry("pii", "spelling", "--write")
    assert changed.status == 1
    assert f"users {taken.id} of tenant {acme.id}: The email is taken." in changed.err
    body = {"tenant": "acme.example", "email": "adé@müller.example", "password": PASSWORD}
    assert (await (await api.client()).post("/v1/sessions", json=body)).status_code == 201
    async with Work(database, acme.id) as work:
        assert (await work.users.find(taken.id)).email == "bo\u0308@acme.example"
