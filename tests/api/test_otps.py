"""/v1/otps: one-time codes that prove a phone."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from arranging.accounts import NewTenant
from arranging.application import Api, problem, wrong_fields
from arranging.factories import Factory
from service.accounts.one_time_codes import ATTEMPTS

PHONE = "+14155550177"
NO_PHONES = (
    "", "14155550177", "+1 415 555 0177", "+0415555017", "+123456", "+1415555017712345", "+1415555O177", "tel:+14155550177",
    None, 14155550177,
)  # fmt: skip
ANY = {"If-Match": "*"}


@pytest.fixture
async def api(serve: Any) -> Api:
    """The application with a sender that remembers the codes."""
    started: Api = await serve(code_sender="arranging.code_senders:remembering")
    return started


def sent(api: Api, phone: str = PHONE) -> list[str]:
    """The codes that were sent to a phone."""
    codes: list[str] = api.state["sender"].codes.get(phone, [])
    return codes


async def ask(client: httpx.AsyncClient, api: Api, phone: str = PHONE) -> str:
    """Have a code sent; answers it."""
    answer = await client.post("/v1/otps", json={"phone": phone})
    assert (answer.status_code, answer.content) == (202, b""), answer.text
    return sent(api, phone)[-1]


async def verify(client: httpx.AsyncClient, code: str, phone: str = PHONE) -> httpx.Response:
    return await client.post("/v1/otps/verify", json={"phone": phone, "code": code})


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


async def is_verified(client: httpx.AsyncClient, kind: str, id: UUID) -> bool:
    return bool((await client.get(f"/v1/{kind}/{id}")).json()["is_phone_verified"])


async def test_the_code_that_was_sent_verifies_the_profiles_with_the_phone(
    api: Api, new: Factory, acme: NewTenant
) -> None:
    client = await api.client(acme, await new.user(acme.id, role="member"))
    brand, influencer = await new.brand(acme, phone=PHONE), await new.influencer(acme, phone=PHONE)
    other = await new.brand(acme)
    code = await ask(client, api)
    assert (len(code), code.isdecimal()) == (6, True)
    answer = await verify(client, code)
    assert (answer.status_code, answer.json()) == (
        200,
        {"brands": [str(brand.id)], "influencers": [str(influencer.id)]},
    )
    assert await is_verified(client, "brands", brand.id)
    assert await is_verified(client, "influencers", influencer.id)
    assert not await is_verified(client, "brands", other.id)
    assert (await client.get(f"/v1/brands/{brand.id}")).json()["version"] == 2


async def test_a_code_is_used_once(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    code = await ask(client, api)
    assert wrong_fields(await verify(client, other_than(code))) == ["code"]
    assert (await verify(client, code)).json() == {"brands": [], "influencers": []}
    assert wrong_fields(await verify(client, code)) == ["code"]


async def test_the_sixth_guess_is_refused_even_if_it_is_right(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    code = await ask(client, api)
    for _ in range(ATTEMPTS):
        assert wrong_fields(await verify(client, other_than(code))) == ["code"]
    assert wrong_fields(await verify(client, code)) == ["code"]
    code = await ask(client, api)
    for _ in range(ATTEMPTS - 1):
        assert wrong_fields(await verify(client, other_than(code))) == ["code"]
    assert (await verify(client, code)).status_code == 200


async def test_the_newest_code_is_the_one_that_counts(api: Api, acme: NewTenant) -> None:
    client = await api.client(acme)
    codes = [await ask(client, api), await ask(client, api)]
    if codes[0] != codes[1]:
        assert wrong_fields(await verify(client, codes[0])) == ["code"]
    assert (await verify(client, codes[1])).status_code == 200
    assert wrong_fields(await verify(client, codes[0])) == ["code"]


async def test_a_code_expires(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    code = await ask(client, api)
    superuser.execute("UPDATE quarry.otps SET created_at = now() - interval '11 minutes', expires_at = now()")
    superuser.commit()
    assert wrong_fields(await verify(client, code)) == ["code"]


async def test_many_guesses_at_once_are_all_counted(api: Api, acme: NewTenant, superuser: Any) -> None:
    client = await api.client(acme)
    code = await ask(client, api)
    answers = await asyncio.gather(*(verify(client, other_than(code)) for _ in range(50)))
    # 429: guesses are limited per phone, too.
    assert {answer.status_code for answer in answers} <= {422, 429}
    assert (await verify(client, code)).status_code in (422, 429)
    assert superuser.execute("SELECT attempts, used_at FROM quarry.otps").fetchone() == (ATTEMPTS, None)


async def test_a_code_of_one_tenant_means_nothing_in_another(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant
) -> None:
    client, stranger = await api.client(acme), await api.client(globex)
    foreign = await new.brand(globex, phone=PHONE)
    code = await ask(client, api)
    assert wrong_fields(await verify(stranger, code)) == ["code"]
    assert (await verify(client, code)).json() == {"brands": [], "influencers": []}
    assert not await is_verified(stranger, "brands", foreign.id)


async def test_a_deleted_profile_is_not_verified(api: Api, new: Factory, acme: NewTenant) -> None:
    client, brand = await api.client(acme), await new.brand(acme, phone=PHONE)
    code = await ask(client, api)
    await client.delete(f"/v1/brands/{brand.id}", headers=ANY)
    assert (await verify(client, code)).json() == {"brands": [], "influencers": []}
    await client.post(f"/v1/brands/{brand.id}/restore")
    assert not await is_verified(client, "brands", brand.id)


async def test_a_phone_is_the_same_with_space_around_it(api: Api, new: Factory, acme: NewTenant) -> None:
    client, brand = await api.client(acme), await new.brand(acme, phone=PHONE)
    code = await ask(client, api)
    assert (await client.post("/v1/otps", json={"phone": f"\n {PHONE} "})).status_code == 202
    assert len(sent(api)) == 2
    assert (await verify(client, f" {sent(api)[-1]} ", f" {PHONE}\t")).json()["brands"] == [str(brand.id)]
    for wrong in NO_PHONES:
        assert wrong_fields(await client.post("/v1/otps", json={"phone": wrong})) == ["phone"]
        assert wrong_fields(await client.post("/v1/otps/verify", json={"phone": wrong, "code": code})) == ["phone"]
    for wrong in ("", " ", "x" * 21, None, 123456):
        assert wrong_fields(await client.post("/v1/otps/verify", json={"phone": PHONE, "code": wrong})) == ["code"]


async def test_neither_phone_nor_code_is_kept_as_it_is(api: Api, acme: NewTenant, superuser: Any) -> None:
    code = await ask(await api.client(acme), api)
    kept = superuser.execute("SELECT o::text FROM quarry.otps AS o").fetchone()[0]
    for plain in (code, PHONE, PHONE.encode().hex(), code.encode().hex()):
        assert plain not in kept.replace(" ", "")


async def test_production_sends_no_codes_without_a_sender(serve: Any, acme: NewTenant, superuser: Any) -> None:
    client = await (await serve(environment="production")).client(acme)
    answer = await client.post("/v1/otps", json={"phone": PHONE})
    assert "sent" in problem(answer, 503, "unavailable")["detail"]
    assert answer.headers["retry-after"]
    assert superuser.execute("SELECT count(*) FROM quarry.otps").fetchone() == (0,)


@pytest.mark.parametrize("sender", ["failing", "hanging"])
async def test_a_code_that_may_not_have_been_sent_can_be_used(
    serve: Any, new: Factory, acme: NewTenant, sender: str
) -> None:
    api: Api = await serve(code_sender=f"arranging.code_senders:{sender}", request_timeout=0.5)
    client, brand = await api.client(acme), await new.brand(acme, phone=PHONE)
    async with asyncio.timeout(20):
        answer = await client.post("/v1/otps", json={"phone": PHONE})
    assert "provider" not in problem(answer, 503, "unavailable")["detail"]
    assert (await verify(client, sent(api)[-1])).json()["brands"] == [str(brand.id)]
