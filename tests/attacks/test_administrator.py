"""Whoever may write to the database, but has no keys: their hashes let nobody in, and nothing sealed is read by moving it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from arranging.accounts import PASSWORD, PASSWORD_HASH, NewTenant
from arranging.application import Api, problem
from arranging.factories import Factory
from service.accounts import tokens
from service.accounts.tokens import Kind
from service.database.database import Database
from service.tenancy.binding import UNDECIPHERABLE
from service.work import Work


def execute(superuser: Any, text: str, *values: object) -> None:
    superuser.execute(text, values)
    superuser.commit()


async def asked(api: Api, token: str) -> int:
    client = await api.client()
    return (await client.get("/v1/campaigns", headers={"Authorization": f"Bearer {token}"})).status_code


def plant(superuser: Any, tenant: NewTenant, kind: Kind, hashed: bytes, mac: bytes | None) -> None:
    """A row as the service would write it, with a hash that a statement has shown, and a MAC from wherever."""
    if kind == "session":
        execute(
            superuser,
            "INSERT INTO quarry.sessions (tenant_id, user_id, token_hash, token_mac, expires_at)"
            " VALUES (%s, %s, %s, %s, 'tomorrow')",
            tenant.id, tenant.owner.id, hashed, mac,
        )  # fmt: skip
    else:
        execute(
            superuser,
            "INSERT INTO quarry.api_keys (tenant_id, name, role, key_hash, key_mac, created_by)"
            " VALUES (%s, 'k', 'admin', %s, %s, %s)",
            tenant.id, hashed, mac, tenant.owner.id,
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["session", "key"])
async def test_a_row_put_there_by_hand_lets_nobody_in(
    api: Api, new: Factory, acme: NewTenant, superuser: Any, kind: Kind
) -> None:
    await new.token(acme)
    (another_s,) = superuser.execute("SELECT token_mac FROM quarry.sessions").fetchone()
    for mac in (None, bytes(32), another_s):
        text, token = tokens.issue(acme.id, kind)
        assert await asked(api, text) == 401
        plant(superuser, acme, kind, token.hash, mac)
        assert await asked(api, text) == 401


async def test_a_session_s_row_copied_for_another_tenant_or_use_lets_nobody_in(
    api: Api, new: Factory, acme: NewTenant, globex: NewTenant, superuser: Any
) -> None:
    mine = await new.token(globex)
    (kept, mac) = superuser.execute("SELECT token_hash, token_mac FROM quarry.sessions").fetchone()
    plant(superuser, acme, "session", kept, mac)
    plant(superuser, globex, "key", kept, mac)
    # The same secret behind the other tenant's id, and as a key.
    raw = base64.urlsafe_b64decode(mine[3:])[16:]
    elsewhere = "qs_" + base64.urlsafe_b64encode(acme.id.bytes + raw).decode()
    raw_texts = (elsewhere, f"qk_{mine[3:]}")
    assert [await asked(api, text) for text in raw_texts] == [401, 401]
    assert await asked(api, mine) == 200


async def test_a_session_pointed_at_another_user_lets_nobody_in(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    mine = await new.token(acme, await new.user(acme.id, role="viewer"))
    execute(superuser, "UPDATE quarry.sessions SET user_id = %s", acme.owner.id)
    assert await asked(api, mine) == 401


@pytest.mark.parametrize(
    "change", ["role = 'admin'", "created_by = (SELECT id FROM quarry.users WHERE role = 'owner')"]
)
async def test_a_key_given_another_role_or_maker_by_hand_lets_nobody_in(
    api: Api, new: Factory, acme: NewTenant, superuser: Any, change: str
) -> None:
    client = await api.client(acme, await new.user(acme.id, role="admin"))
    key = (await client.post("/v1/keys", json={"name": "CI", "role": "viewer"})).json()["key"]
    execute(superuser, f"UPDATE quarry.api_keys SET {change}")
    assert await asked(api, key) == 401


@pytest.mark.parametrize("column", ["password_hash", "the row of another"])
async def test_a_password_put_there_by_hand_signs_nobody_in(
    api: Api, new: Factory, acme: NewTenant, superuser: Any, column: str
) -> None:
    mallory = await new.user(acme.id, email="mallory@acme.example")
    (own,) = superuser.execute("SELECT password_hash FROM quarry.users WHERE id = %s", (mallory.id,)).fetchone()
    planted = PASSWORD_HASH if column == "password_hash" else own
    execute(superuser, "UPDATE quarry.users SET password_hash = %s WHERE id = %s", planted, acme.owner.id)
    draft = {"tenant": acme.domain, "email": acme.owner.email, "password": PASSWORD}
    client = await api.client()
    problem(await client.post("/v1/sessions", json=draft), 401, "unauthorized")


async def test_an_index_copied_to_another_s_row_leads_nobody_there(
    api: Api, new: Factory, acme: NewTenant, superuser: Any, database: Database
) -> None:
    mallory = await new.user(acme.id, email="mallory@acme.example")
    (index,) = superuser.execute("SELECT email_index FROM quarry.users WHERE id = %s", (mallory.id,)).fetchone()
    execute(superuser, "UPDATE quarry.users SET email_index = sha256('gone') WHERE id = %s", mallory.id)
    execute(superuser, "UPDATE quarry.users SET email_index = %s WHERE id = %s", index, acme.owner.id)
    async with Work(database, acme.id) as work:
        # What `quarry users passwd` and a sign-in ask for.
        assert await work.users.credentials_of("mallory@acme.example") is None
    draft = {"tenant": acme.domain, "email": "mallory@acme.example", "password": PASSWORD}
    problem(await (await api.client()).post("/v1/sessions", json=draft), 401, "unauthorized")


async def test_values_swapped_between_rows_are_not_opened(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    mine, theirs = await new.influencer(acme), await new.influencer(acme)
    execute(
        superuser,
        "UPDATE quarry.influencers AS i SET phone = o.phone FROM quarry.influencers AS o WHERE i.id = %s AND o.id = %s",
        mine.id, theirs.id,
    )  # fmt: skip
    client = await api.client(acme)
    shown = (await client.get(f"/v1/influencers/{mine.id}")).json()
    assert (shown["phone"], shown["email"]) == (UNDECIPHERABLE, mine.email)


async def test_a_ticket_pointed_at_somebody_else_s_session_opens_no_stream(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    member = await new.user(acme.id)
    client, _ = await api.client(acme, member), await new.token(acme)
    ticket = (await client.post("/v1/changes/tickets")).json()["ticket"]
    (stolen,) = superuser.execute(
        "SELECT token_hash FROM quarry.sessions WHERE user_id = %s", (acme.owner.id,)
    ).fetchone()
    execute(superuser, "UPDATE quarry.change_tickets SET bearer_hash = %s", stolen)
    problem(await client.get(f"/v1/changes/stream?ticket={ticket}"), 401, "unauthorized")


async def test_plain_text_put_there_by_hand_is_never_shown(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    mine = await new.influencer(acme)
    execute(superuser, "UPDATE quarry.influencers SET phone = app.unsealed('+14155550000') WHERE id = %s", mine.id)
    client = await api.client(acme)
    assert (await client.get(f"/v1/influencers/{mine.id}")).json()["phone"] == UNDECIPHERABLE


async def test_a_kept_answer_moved_to_another_caller_is_not_handed_out(
    api: Api, new: Factory, acme: NewTenant, superuser: Any
) -> None:
    owner, mallory = await api.client(acme), await new.user(acme.id, role="viewer")
    draft = {"name": "CI", "role": "admin"}
    assert (await owner.post("/v1/keys", json=draft, headers={"Idempotency-Key": "k"})).status_code == 201
    client, mine = await api.client(acme, mallory), {"Idempotency-Key": "mine"}
    assert (await client.post("/v1/changes/tickets", headers=mine)).status_code == 201
    execute(
        superuser,
        "WITH own AS (DELETE FROM quarry.idempotency_keys WHERE key = 'mine' RETURNING caller_id, key, fingerprint)"
        " UPDATE quarry.idempotency_keys AS k SET fingerprint = o.fingerprint FROM own AS o WHERE k.key = 'k'",
    )
    execute(superuser, "UPDATE quarry.idempotency_keys SET caller_id = %s, key = 'mine'", mallory.id)
    answer = await client.post("/v1/changes/tickets", headers=mine)
    assert (answer.status_code, "qk_" in answer.text) == (503, False)
