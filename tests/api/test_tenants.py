"""/v1/tenant"""

from __future__ import annotations

import json
from typing import Any

import httpx

from arranging.accounts import NewTenant
from arranging.application import Api, problem, version_of, wrong_fields

ANY = {"If-Match": "*"}


async def put(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.patch("/v1/tenant", json=fields, headers=ANY)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


async def test_a_caller_sees_their_own_tenant(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    answer = await (await api.client(acme)).get("/v1/tenant")
    content = answer.json()
    assert content == {
        "id": str(acme.id), "name": "Acme", "domain": "acme.example", "status": "active", "plan": "free",
        "features": {}, "configuration": {}, "created_at": content["created_at"],
        "updated_at": content["created_at"], "version": 1,
    }  # fmt: skip
    assert version_of(answer) == 1


async def test_its_objects_are_merged_member_by_member(api: Api, acme: NewTenant, globex: NewTenant) -> None:
    client = await api.client(acme)
    await put(client, features={"a": {"x": 1, "y": [1, None]}, "b": True}, configuration={"colour": "#fff"})
    changed = await put(client, features={"a": {"x": None, "z": {"deep": None}}, "c": 0.5}, name=" Acme & Co. ")
    assert changed["features"] == {"a": {"y": [1, None], "z": {}}, "b": True, "c": 0.5}
    assert (changed["configuration"], changed["name"], changed["version"]) == ({"colour": "#fff"}, "Acme & Co.", 3)
    assert await put(client, features={}) == changed
    assert (await (await api.client(globex)).get("/v1/tenant")).json()["features"] == {}


async def test_any_json_comes_back_as_it_was_given(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    given = {
        "text": "Zeile\nzwei\t🎬 \" \\ ' $1 :name -- /* */", "": {"": []}, "big": 2**80, "small": -(2**63), "float": 1.5e-7,
        "zero": 0, "list": [[], {}, None, True, [[["x"]]]], "ключ": "значение",
    }  # fmt: skip
    assert (await put(client, features=given))["features"] == given
    assert float((await put(client, features={"huge": 1.7e308}))["features"]["huge"]) == 1.7e308
    deep = json.loads('{"a":' * 30 + "1" + "}" * 30)
    assert (await put(client, configuration=deep))["configuration"] == deep


async def test_what_the_database_can_not_hold_is_refused_by_name(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for wrong in (
        "[]",
        '"x"',
        "1",
        "null",
        '{"a": "\\u0000"}',
        '{"\\u0000": 1}',
        '{"a": [{"b": "\\u001b"}]}',
        '{"a": 1e400}',
    ):
        for field in ("features", "configuration"):
            body = f'{{"{field}": {wrong}}}'.encode()
            answer = await client.patch("/v1/tenant", content=body, headers={**ANY, "Content-Type": "application/json"})
            assert wrong_fields(answer) == [field], wrong
    json_type = {**ANY, "Content-Type": "application/json"}
    problem(await client.patch("/v1/tenant", content=b'{"features": {"a": NaN}}', headers=json_type), 400, "malformed")
    assert (await client.get("/v1/tenant")).json()["version"] == 1


async def test_a_name_has_one_to_two_hundred_characters(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for wrong in ("", "  ", "x" * 201, "a\nb", 1):
        assert wrong_fields(await client.patch("/v1/tenant", json={"name": wrong}, headers=ANY)) == ["name"]
    assert (await put(client, name="x" * 200))["name"] == "x" * 200
