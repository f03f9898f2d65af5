"""/v1/campaigns"""

from __future__ import annotations

from application import Api
from factories import Factory


async def test_a_campaign_is_created_for_its_caller(api: Api, new: Factory) -> None:
    acme = await new.tenant("acme")
    client = await api.client(acme)
    answer = await client.post("/v1/campaigns", json={"name": "  Summer  ", "budget_minor": 100})
    assert answer.status_code == 201
    created = answer.json()
    assert (created["name"], created["owner_id"], created["version"]) == ("Summer", str(acme.owner.id), 1)
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["location"] == f"/v1/campaigns/{created['id']}"
    found = await client.get(answer.headers["location"])
    assert found.json() == created
