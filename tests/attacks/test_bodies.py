"""Bodies that cost more to read than to send."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem, wrong_fields
from service.http import json_bounds
from service.http.json_bounds import DEPTH, MEMBERS

JSON = {"Content-Type": "application/json"}
CREDENTIALS = {"tenant": "acme.example", "email": "a@acme.example", "password": "x"}


@pytest.mark.parametrize("authorization", [None, "Bearer x", f"Bearer qs_{'!' * 64}", "Basic YTpi"])
async def test_body_of_nobody_is_not_read(api: Api, authorization: str | None) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    client = await api.client(**({"Authorization": authorization} if authorization else {}))
    problem(await client.post("/v1/campaigns", content=nothing(), headers=JSON), 401, "unauthorized")


async def test_body_with_an_invented_token_is_not_parsed(api: Api, acme: NewTenant) -> None:
    token = (await api.new.token(acme))[:-8] + "AAAAAAAA"
    client = await api.client(Authorization=f"Bearer {token}")
    problem(await client.post("/v1/campaigns", content=b"no JSON", headers=JSON), 401, "unauthorized")


@pytest.mark.parametrize(("path", "most"), [("/v1/sessions", 16 * 1024), ("/v1/keys", 16 * 1024)])
async def test_small_bodies_have_a_small_bound(api: Api, acme: NewTenant, path: str, most: int) -> None:
    client = await api.client(acme)
    body = json.dumps(CREDENTIALS if path == "/v1/sessions" else {"name": "A"}).encode()
    assert (await client.post(path, content=body + b" " * (most - len(body)), headers=JSON)).status_code in (201, 401)
    problem(await client.post(path, content=body + b" " * (most - len(body) + 1), headers=JSON), 413, "too_large")


@pytest.mark.parametrize(
    "content",
    [
        b'{"name": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' * 20_000 + b"1" + b"}" * 20_000,
        b'{"name": ' + b"[" * DEPTH + b"]" * DEPTH + b"}",
        b'{"name": [' + b"1," * MEMBERS + b"1]}",
        b"{" + b",".join(b'"%d":1' % n for n in range(MEMBERS + 1)) + b"}",
    ],
    ids=["arrays", "objects", "one too deep", "items", "fields"],
)
async def test_deep_and_wide_bodies_are_refused_before_anything_is_made_of_them(
    api: Api, acme: NewTenant, content: bytes
) -> None:
    client = await api.client(acme)
    started = time.perf_counter()
    answer = await client.post("/v1/campaigns", content=content, headers=JSON)
    assert "The body" in problem(answer, 400, "malformed")["detail"]
    # 5.6 s for a megabyte when every field was told of; generous, for a machine with other work.
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "content",
    [
        b"1" * 250_000,
        b'{"a":"' + b'\\"' * 120_000,
        b'{"a":"' + b'\\"' * 120_000 + b"\\",
        b"1." * 120_000,
        b"-" * 250_000,
    ],
    ids=["digits", "open string", "open string and escape", "points", "signs"],
)
def test_what_is_no_json_costs_no_more_than_what_is(content: bytes) -> None:
    started = time.perf_counter()
    json_bounds.check(content)
    # 1 s for 16 KB, and with the square of it for more.
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("number", [b"1e-99999999999999999999", b"0e99999999999999999999999999"])
async def test_number_beyond_all_numbers_is_refused(api: Api, number: bytes) -> None:
    answer = await (await api.client()).post("/v1/sessions", content=b'{"a":' + number + b"}", headers=JSON)
    problem(answer, 422, "invalid_input")


async def test_brackets_and_commas_inside_strings_count_for_nothing(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    text = '[{"\\' * 1000 + "," * 5000
    answer = await client.post("/v1/campaigns", json={"name": "A", "description": text})
    assert answer.status_code in (201, 422), answer.text
    assert "malformed" not in answer.text


@pytest.mark.parametrize(
    "number",
    ["0.1234567890123456789", "1.00000000000000000001", "123456789012345678.5", "1e-400", "1" + "0" * 500 + ".5"],
)
async def test_number_that_would_lose_digits_is_refused(api: Api, acme: NewTenant, number: str) -> None:
    body = f'{{"configuration": {{"rate": {number}}}}}'.encode()
    client = await api.client(acme)
    assert wrong_fields(await client.patch("/v1/tenant", content=body, headers={**JSON, "If-Match": "*"})) == [""]


@pytest.mark.parametrize("number", ["0.1", "1.10", "-2.5e3", "9007199254740993", "1" + "0" * 60, "0.30000000000000004"])
async def test_number_that_is_kept_comes_back_as_the_same(api: Api, acme: NewTenant, number: str) -> None:
    body = f'{{"configuration": {{"rate": {number}}}}}'.encode()
    client = await api.client(acme)
    answer = await client.patch("/v1/tenant", content=body, headers={**JSON, "If-Match": "*"})
    assert answer.status_code == 200, answer.text
    kept: Any = (await client.get("/v1/tenant")).json()["configuration"]["rate"]
    assert kept == json.loads(number)


async def test_merging_the_largest_patch_into_the_largest_object_takes_no_time(api: Api, acme: NewTenant) -> None:
    def nested(depth: int, width: int) -> dict[str, Any]:
        return {f"k{n}": 1 if depth == 1 else nested(depth - 1, width if n == 0 else 0) for n in range(width)} or {
            "x": 1
        }

    client = await api.client(acme)
    for shape in ({f"k{n}": "x" * 8 for n in range(2_400)}, nested(28, 80)):
        for _ in range(2):
            started = time.perf_counter()
            answer = await client.patch("/v1/tenant", json={"configuration": shape}, headers={"If-Match": "*"})
            assert answer.status_code in (200, 422), answer.text
            assert time.perf_counter() - started < 2
    wide = {"configuration": {f"k{n}": "x" * 20 for n in range(2_400)}}
    assert wrong_fields(await client.patch("/v1/tenant", json=wide, headers={"If-Match": "*"})) == ["configuration"]
