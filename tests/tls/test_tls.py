"""Connections under TLS: whom they trust, whom they refuse, and what is said then."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from arranging.certificates import Pair
from service.changes.listener import Listener
from service.database import diagnosis
from service.database.database import Database
from service.database.diagnosis import explained
from service.errors import DatabaseError, OperatorError
from service.schema import migrations
from service.settings.settings import Settings

Given = Callable[..., Settings]
_VERSION = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl"


async def version(settings: Settings) -> object:
    """The protocol's version as the server sees it on the service's own pool; None without TLS."""
    async with (
        Database.open(settings.address("quarry_app"), settings.limits) as database,
        database.connection() as connection,
    ):
        return await connection.fetchval(_VERSION, ())


async def refusal(settings: Settings) -> OperatorError:
    """What is said of a pool that can't be opened; the same as by `quarry db test`."""
    address = settings.address("quarry_app")
    with pytest.raises(DatabaseError) as caught:
        await version(settings)
    with pytest.raises(OperatorError) as examined:
        await diagnosis.examine(address)
    said = explained(caught.value, address)
    assert (said.message, said.remedy) == (examined.value.message, examined.value.remedy)
    assert "\n" not in said.message
    return said


def with_pair(pair: Pair) -> dict[str, Any]:
    return {"database_ssl_cert": pair.certificate, "database_ssl_key": pair.key}


async def test_server_whose_authority_is_known_is_trusted(given: Given, secured: Any) -> None:
    settings = given("encrypted", database_ssl=True, database_ssl_ca=secured.authority.file)
    assert await version(settings) == "TLSv1.3"
    assert (await diagnosis.examine(settings.address("quarry_app"))).tls == "TLSv1.3"


async def test_server_of_another_authority_is_refused(given: Given, secured: Any) -> None:
    said = await refusal(given("encrypted", database_ssl=True, database_ssl_ca=secured.stranger.file))
    assert "its certificate can't be verified" in said.message
    assert "DATABASE_SSL_CA" in said.remedy


async def test_server_that_the_system_does_not_know_is_refused(given: Given) -> None:
    said = await refusal(given("encrypted", database_ssl=True))
    assert "its certificate can't be verified" in said.message
    assert "DATABASE_SSL_CA" in said.remedy


async def test_server_of_another_name_is_refused(given: Given, secured: Any) -> None:
    said = await refusal(
        given("encrypted", host="localhost", database_ssl=True, database_ssl_ca=secured.authority.file)
    )
    assert "its certificate is for another host" in said.message
    assert "the name that is in it" in said.remedy


async def test_verification_can_be_given_up(given: Given) -> None:
    settings = given("encrypted", host="localhost", database_ssl=True, database_ssl_reject_unauthorized=False)
    assert await version(settings) == "TLSv1.3"


async def test_tls_can_be_asked_for_in_the_url(given: Given) -> None:
    assert await version(given("encrypted", query="?sslmode=require")) == "TLSv1.3"


async def test_server_that_wants_tls_says_so(given: Given) -> None:
    said = await refusal(given("encrypted", query="?sslmode=disable"))
    assert "the server wants TLS" in said.message
    assert "DATABASE_SSL=true" in said.remedy


@pytest.mark.parametrize("changes", [{"database_ssl": True}, {"query": "?sslmode=require"}], ids=["setting", "url"])
async def test_server_without_tls_is_refused_where_tls_is_wanted(settings: Settings, changes: dict[str, Any]) -> None:
    url = settings.serving_url().replace("?sslmode=disable", changes.pop("query", ""))
    plain = Settings.model_validate(
        {"environment": "test", "database_url": url, "database_connect_attempts": 1, **changes}
    )
    said = await refusal(plain)
    assert "the server has no TLS" in said.message
    assert "enable ssl on the server" in said.remedy


async def test_client_with_its_certificate_is_let_in(given: Given, secured: Any) -> None:
    settings = given(
        "certified", database_ssl=True, database_ssl_ca=secured.authority.file, **with_pair(secured.client)
    )
    assert await version(settings) == "TLSv1.3"


async def test_client_without_certificate_is_told_what_to_set(given: Given, secured: Any) -> None:
    said = await refusal(given("certified", database_ssl=True, database_ssl_ca=secured.authority.file))
    assert "the server wants a client certificate" in said.message
    assert "DATABASE_SSL_CERT" in said.remedy


@pytest.mark.parametrize(
    ("signer", "said", "remedy"),
    [
        ("stranger", "it ends the connection at once", "the authority of that certificate"),
        # What PostgreSQL says where a password would be asked for next.
        ("authority", "the server refuses the password", "made out to the login's name"),
    ],
    ids=["another authority", "another login"],
)
async def test_client_with_a_wrong_certificate_is_refused(
    given: Given, secured: Any, signer: str, said: str, remedy: str
) -> None:
    pair = getattr(secured, signer).pair("somebody")
    refused = await refusal(
        given("certified", database_ssl=True, database_ssl_ca=secured.authority.file, **with_pair(pair))
    )
    assert said in refused.message
    assert remedy in refused.remedy


def test_migrations_obey_the_same_settings(given: Given, secured: Any) -> None:
    trusting = given("encrypted", database_ssl=True, database_ssl_ca=secured.authority.file)
    assert all(each.applied_at is None for each in migrations.status(trusting.address("quarry_owner"), "quarry"))
    for wrong in (
        given("encrypted", database_ssl=True, database_ssl_ca=secured.stranger.file),
        given("encrypted", host="localhost", database_ssl=True, database_ssl_ca=secured.authority.file),
        given("encrypted", query="?sslmode=disable"),
    ):
        with pytest.raises(OperatorError, match="migrations stop"):
            migrations.status(wrong.address("quarry_owner"), "quarry")


@pytest.mark.parametrize(
    ("authority", "state"), [("authority", "listening"), ("stranger", "deaf")], ids=["known", "unknown"]
)
async def test_listening_obeys_the_same_settings(given: Given, secured: Any, authority: str, state: str) -> None:
    file = getattr(secured, authority).file
    settings = given("encrypted", database_ssl=True, database_ssl_ca=file)
    async with Listener.open(
        settings.listening_address(), on_hint=lambda _: None, on_connected=lambda: None
    ) as listener:
        with suppress(TimeoutError):
            async with asyncio.timeout(30):
                while listener.state == "connecting":
                    await asyncio.sleep(0.01)
        assert listener.state == state
