"""A tenant always keeps an active owner."""

from __future__ import annotations

import asyncio

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from arranging.factories import Factory
from service.database.database import Database
from service.work import Work

ANY = {"If-Match": "*"}
FAREWELLS = ({"role": "admin"}, {"role": "viewer"}, {"is_active": False}, None)


async def test_the_last_owner_is_neither_removed_nor_demoted_nor_deactivated(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client, path = await api.client(acme), f"/v1/users/{acme.owner.id}"
    await new.user(acme.id, email="admin@acme.example", role="admin")
    await new.user(acme.id, email="inactive@acme.example", role="owner", is_active=False)
    before = (await client.get(path)).json()
    for change in FAREWELLS:
        answer = await (client.patch(path, json=change, headers=ANY) if change else client.delete(path, headers=ANY))
        assert "field" not in problem(answer, 409, "conflict")
    assert (await client.get(path)).json() == before
    assert (await client.patch(path, json={"display_name": "Still here"}, headers=ANY)).status_code == 200


async def test_an_owner_who_is_not_the_last_may_go(api: Api, new: Factory, acme: NewTenant) -> None:
    client = await api.client(acme)
    for number, change in enumerate(FAREWELLS):
        other = await new.user(acme.id, email=f"{number}@acme.example", role="owner")
        path = f"/v1/users/{other.id}"
        answer = await (client.patch(path, json=change, headers=ANY) if change else client.delete(path, headers=ANY))
        assert answer.status_code in (200, 204)
    problem(await client.delete(f"/v1/users/{acme.owner.id}", headers=ANY), 409, "conflict")


async def test_of_two_owners_who_remove_each_other_exactly_one_stays(
    api: Api, new: Factory, acme: NewTenant, database: Database
) -> None:
    for number in range(8):
        async with Work(database, acme.id) as work:
            first = (await work.users.page(role="owner", is_active=True))[0]
        second = await new.user(acme.id, email=f"{number}@acme.example", role="owner")
        clients = [await api.client(acme, user) for user in (first, second)]
        change = FAREWELLS[number % len(FAREWELLS)]

        async def remove(client: object, path: str, change: object = change) -> int:
            answer = await (
                client.patch(path, json=change, headers=ANY) if change else client.delete(path, headers=ANY)  # type: ignore[attr-defined]
            )
            if answer.status_code == 409:
                problem(answer, 409, "conflict")
            return int(answer.status_code)

        statuses = await asyncio.gather(
            remove(clients[0], f"/v1/users/{second.id}"), remove(clients[1], f"/v1/users/{first.id}")
        )
        async with Work(database, acme.id) as work:
            assert len(await work.users.page(role="owner", is_active=True)) == 1
        # Whoever comes later is refused: as the last owner's remover, as no admin any more, or as signed out.
        assert sorted(status < 300 for status in statuses) == [False, True], statuses
        assert set(statuses) <= {200, 204, 401, 403, 409}
