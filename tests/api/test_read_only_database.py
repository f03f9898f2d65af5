"""A database that has become read-only by itself: a full disk at a provider, a DBA's setting, a demoted server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem
from service.database.database import Database


@pytest.fixture
def read_only(superuser: Any) -> Iterator[Any]:
    """Switches the default of new sessions."""
    name = superuser.info.dbname
    superuser.autocommit = True

    def switch(value: str) -> None:
        superuser.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")

    yield switch
    superuser.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")


async def test_connections_of_a_read_only_spell_write_again_after_it(
    api: Api, acme: NewTenant, database: Database, read_only: Any
) -> None:
    client = await api.client(acme)
    read_only("on")
    await api.state["database"].pool.renew()
    problem(await client.post("/v1/campaigns", json={"name": "A"}), 503, "read_only")
    assert (await client.get("/v1/campaigns")).status_code == 200
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()["failing"]) == (503, ["writes"])
    read_only("off")
    for name in ("B", "C", "D"):
        assert (await client.post("/v1/campaigns", json={"name": name})).status_code == 201


async def test_readiness_comes_back_with_the_first_new_session(api: Api, read_only: Any) -> None:
    client = await api.client()
    read_only("on")
    await api.state["database"].pool.renew()
    assert (await api.state["health"].report())["writes"] == {"ok": False}
    read_only("off")
    assert (await client.get("/readyz")).status_code == 200
