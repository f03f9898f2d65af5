"""Bodies: too large, of another kind, no JSON."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx

from arranging.accounts import NewTenant
from arranging.application import Api, problem, wrong_fields
from service.settings.settings import Settings

JSON = {"Content-Type": "application/json"}
NO_JSON = {
    "empty": b"",
    "cut off": b'{"name": "Summer"',
    "two documents": b'{"name": "Summer"} {}',
    "a trailing comma": b'{"name": "Summer",}',
    "single quotes": b"{'name': 'Summer'}",
    "a comment": b'{"name": "Summer" /* here */}',
    "NaN": b'{"name": "Summer", "budget_minor": NaN}',
    "infinity": b'{"name": "Summer", "budget_minor": -Infinity}',
    "NaN in a field nobody knows": b'{"name": "Summer", "x": [NaN]}',
    "a byte order mark": b'\xef\xbb\xbf{"name": "Summer"}',
    "two byte order marks": b'\xef\xbb\xbf\xef\xbb\xbf{"name": "Summer"}',
    "UTF-16": '{"name": "Summer"}'.encode("utf-16"),
    "invalid UTF-8": b'{"name": "Summ\xffer"}',
    "an overlong NUL": b'{"name": "\xc0\x80"}',
    "half a surrogate pair": b'{"name": "\\ud83d"}',
    "a surrogate in UTF-8": b'{"name": "\xed\xa0\xbd"}',
    "a raw line break in a string": b'{"name": "Sum\nmer"}',
    "a number of 5,000 digits": b'{"name": "Summer", "budget_minor": ' + b"9" * 5_000 + b"}",
    "a leading zero": b'{"name": "Summer", "budget_minor": 05}',
}


async def post(client: httpx.AsyncClient, content: bytes, **headers: str) -> httpx.Response:
    return await client.post("/v1/campaigns", content=content, headers={**JSON, **headers})


async def test_what_is_no_json_is_malformed(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for what, content in NO_JSON.items():
        answer = await post(client, content)
        assert (what, answer.status_code) == (what, 400)
        assert problem(answer, 400, "malformed")["detail"] == "The body is not valid JSON."


async def test_a_body_is_an_object(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for content in (b"[]", b"1", b"null", b'"name"', b"true", b'[{"name": "Summer"}]'):
        assert wrong_fields(await post(client, content)) == [""]


async def test_json_is_taken_in_any_of_its_spellings(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    spellings = (b' \r\n\t{ "n\\u0061me" :"Sum\\u006der" } \n', b'{"name":"Winter","name":"Summer"}')
    for content in spellings:
        answer = await post(client, content)
        assert (answer.status_code, answer.json()["name"]) == (201, "Summer")
    answer = await post(client, json.dumps({"name": "🎬 Été"}).encode())
    assert answer.json()["name"] == "🎬 Été"


async def test_a_body_of_another_kind_is_refused(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded", "application/jsonx", "", "json"):
        answer = await post(client, b'{"name": "Summer"}', **{"Content-Type": kind})
        problem(answer, 415, "unsupported_media_type")
    problem(await client.post("/v1/campaigns", content=b"{}"), 415, "unsupported_media_type")
    for kind in ("application/json; charset=utf-8", "Application/JSON", " application/json ;x=y"):
        assert (await post(client, b'{"name": "Summer"}', **{"Content-Type": kind})).status_code == 201


async def test_a_body_may_be_as_large_as_the_setting_says(api: Api, acme: NewTenant, settings: Settings) -> None:
    client, limit = await api.client(acme), settings.max_body_bytes
    body = b'{"name": "Summer"}'
    assert (await post(client, body + b" " * (limit - len(body)))).status_code == 201
    problem(await post(client, body + b" " * (limit - len(body) + 1)), 413, "too_large")


async def test_a_body_that_comes_in_pieces_is_counted(api: Api, acme: NewTenant, settings: Settings) -> None:
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(settings.max_body_bytes):
            read += 1024
            yield b" " * 1024

    answer = await (await api.client(acme)).post("/v1/campaigns", content=pieces(), headers=JSON)
    problem(answer, 413, "too_large")
    assert settings.max_body_bytes < read <= settings.max_body_bytes + 2048


async def test_a_body_that_is_announced_too_large_is_not_read(api: Api, acme: NewTenant, settings: Settings) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    client = await api.client(acme)
    for length in (str(settings.max_body_bytes + 1), "9" * 5_000):
        answer = await client.post("/v1/campaigns", content=nothing(), headers={**JSON, "Content-Length": length})
        problem(answer, 413, "too_large")


async def test_an_answer_names_fifty_wrong_fields_and_no_long_name_in_full(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    fields = wrong_fields(await client.post("/v1/campaigns", json={f"{n}{'x' * 1_000}": n for n in range(200)}))
    assert len(fields) == 50
    assert max(map(len, fields)) == 200


async def test_a_request_whose_client_has_gone_is_no_failure_of_ours(api: Api, acme: NewTenant) -> None:
    sent: list[dict[str, object]] = []
    token = await api.new.token(acme)
    headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": "POST", "path": "/v1/campaigns", "query_string": b"", "headers": headers,
        "client": None, "server": ("quarry.test", 80), "scheme": "http",
    }  # fmt: skip

    async def gone() -> dict[str, object]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await api(scope, gone, send)
    assert sent[0]["status"] == 400
