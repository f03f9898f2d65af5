"""Canaries: what each tenant planted is found in its own answers, and nowhere that others look."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.dumps import content
from arranging.factories import Factory
from arranging.serving import Service, serving
from arranging.witnesses import plant
from service.api.routes import ENDPOINTS
from service.embedded.server import Server
from service.settings.settings import Settings

OPERATOR = f"operator{uuid4().hex}"


@dataclass
class Told:
    """What one tenant's people know: the markers of its rows, its personal data, and its secrets."""

    markers: list[str]
    personal: list[str]
    secrets: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)


@pytest.fixture
def service(settings: Settings, tmp_path: Path) -> Iterator[Service]:
    with serving(
        settings, tmp_path, ENVIRONMENT="production", OPERATOR_TOKEN=OPERATOR, DATABASE_LOG_QUERIES="true",
        CHANGES_HEARTBEAT="1s",
        CODE_SENDER="arranging.code_senders:to_file", CODES_FILE=str(tmp_path / "codes"),
        PYTHONPATH=str(Path(__file__).parent.parent),
    ) as running:  # fmt: skip
        yield running


@contextlib.asynccontextmanager
async def watched(settings: Settings) -> AsyncIterator[set[str]]:
    """Every text that pg_stat_activity shows meanwhile, as a superuser sees it."""
    address = settings.database_migration_url
    assert address is not None
    seen: set[str] = set()
    connection = await asyncpg.connect(address.get_secret_value())

    async def look() -> None:
        while True:
            rows = await connection.fetch("SELECT query FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
            seen.update(row["query"] for row in rows)

    task = asyncio.create_task(look())
    try:
        yield seen
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await connection.close()


async def lived(client: httpx.AsyncClient, new: Factory, tenant: NewTenant, codes: Path) -> Told:
    """A tenant's day: people and profiles, sign-ins that work and fail, a key, a code, and every list that there is."""
    planted = await plant(new, tenant)
    told = Told(planted.markers, planted.personal)
    password, wrong = f"password{uuid4().hex}", f"wrong{uuid4().hex}"
    told.secrets += [password, wrong]
    owner = {"Authorization": f"Bearer {await new.token(tenant)}"}

    async def ask(method: str, path: str, **given: Any) -> httpx.Response:
        answer = await client.request(method, path, **{"headers": {**owner, "If-Match": "*"}, **given})
        told.answers.append(answer.text + str(answer.headers))
        return answer

    email = f"{planted.personal[0]}.login@example.com"
    draft = {"email": email, "display_name": "Somebody", "password": password}
    assert (await ask("POST", "/v1/users", json=draft, headers={**owner, "Idempotency-Key": "once"})).status_code == 201
    credentials = {"tenant": tenant.domain, "email": email}
    signed_in = await ask("POST", "/v1/sessions", json={**credentials, "password": password}, headers={})
    told.secrets += [signed_in.json()["token"], owner["Authorization"].split()[1]]
    assert (await ask("POST", "/v1/sessions", json={**credentials, "password": wrong}, headers={})).status_code == 401
    told.secrets.append((await ask("POST", "/v1/keys", json={"name": "Program"})).json()["key"])
    phone = planted.personal[-2]
    assert (await ask("POST", "/v1/otps", json={"phone": phone})).status_code == 202
    code = re.findall(rf"{re.escape(phone)} (\d+)", codes.read_text())[-1]
    told.codes.append(code)
    verified = await ask("POST", "/v1/otps/verify", json={"phone": phone, "code": code})
    assert verified.json()["influencers"], verified.text
    # A unique value that is taken: the database's own message names it.
    conflict = {
        "name": "Twice",
        "username": "taken",
        "email": f"{planted.personal[7]}@example.com",
        "phone": "+14155550123",
    }
    assert (await ask("POST", "/v1/influencers", json=conflict)).status_code == 409
    epoch = (await ask("GET", "/v1/changes")).json()["head"].partition("-")[0]
    async with client.stream("GET", f"/v1/changes/stream?since={epoch}-0", headers=owner) as stream:
        # It has no end; what has happened until now comes before the first heartbeat.
        async for line in stream.aiter_lines():
            told.answers.append(line)
            if line.startswith(": "):
                break
    assert "event: commit" in told.answers
    for endpoint in ENDPOINTS:
        if endpoint.method == "GET" and endpoint.permission != "operator" and endpoint.path != "/v1/changes/stream":
            for id in planted.ids if "{" in endpoint.path else [""]:
                await ask("GET", re.sub(r"{\w+}", id, endpoint.path))
    return told


async def test_nothing_that_a_tenant_planted_is_found_where_it_should_not_be(
    service: Service, server: Server, settings: Settings, new: Factory, superuser: Any, tmp_path: Path
) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=60) as client, watched(settings) as statements:
        tenants = [await new.tenant(name) for name in ("acme", "globex")]
        told = [await lived(client, new, tenant, tmp_path / "codes") for tenant in tenants]
        metrics = (await client.get("/metrics", headers={"Authorization": f"Bearer {OPERATOR}"})).text
    places = {"log": service.log.read_text(), "metrics": metrics, "statements": "\n".join(statements)}
    assert "/* " in places["statements"]
    assert "users.create" in places["log"]
    assert "quarry_requests_total" in places["metrics"]
    dump = content(server, superuser.info.dbname)
    for own, other in (told, told[::-1]):
        answers = "\n".join(own.answers)
        assert [marker for marker in own.markers if marker not in answers] == []
        for canary in (*other.markers, *other.secrets):
            assert canary not in answers
        for name, text in places.items():
            for canary in (*own.markers, *own.personal, *own.secrets):
                assert canary not in text, (name, canary)
        for canary in (*own.personal, *own.secrets):
            assert canary not in dump
            # Neither as bytes that were not sealed.
            assert canary.encode().hex() not in dump
        for code in own.codes:
            assert not re.search(rf"\b{code}\b", places["log"] + places["statements"] + dump)
        assert any(marker in dump for marker in own.markers)
