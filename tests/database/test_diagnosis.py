"""What a connection is like, and what is said of connections that fail for good and while waiting."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import asyncpg
import pytest

from service.addresses import Address
from service.database import diagnosis
from service.errors import OperatorError
from service.settings.settings import Settings


async def test_examine_sees_login_role_and_that_nothing_is_in_between(settings: Settings) -> None:
    report = await diagnosis.examine(replace(settings.administration(), role="quarry_app"))
    assert (report.login, report.role, report.login_is_superuser) == ("postgres", "quarry_app", True)
    assert not report.has_pooler
    assert report.latency_ms > 0
    assert report.connect_ms > report.latency_ms


async def test_connections_of_others_are_counted(settings: Settings) -> None:
    address = settings.address("quarry_app")
    before = (await diagnosis.examine(address)).connections
    others = [await asyncpg.connect(settings.administration().url) for _ in range(3)]
    try:
        assert (await diagnosis.examine(address)).connections >= before + 3
    finally:
        for other in others:
            await other.close()


async def test_server_that_does_not_answer_is_given_up_in_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = Address(f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/q", connect_timeout=0.2)
        with pytest.raises(OperatorError, match="no answer in time") as caught:
            await diagnosis.require(address)
    assert "DATABASE_CONNECT_TIMEOUT" in caught.value.remedy


async def test_something_else_than_postgresql_is_one_line() -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OperatorError) as caught:
            await diagnosis.require(Address(f"postgresql://u:p@127.0.0.1:{port}/q"))
    assert "\n" not in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("state", "text", "said"),
    [
        ("53300", "sorry, too many clients already", "there are too many connections"),
        ("57P03", "the database system is starting up", "starting up"),
        ("08P01", "unsupported startup parameter: role", "pooler"),
        ("28000", 'no pg_hba.conf entry for host "h", user "u", no encryption', "the server wants TLS"),
        ("28000", 'role "u" is not permitted to log in', "refuses this login"),
        ("42501", 'permission denied for database "q"', "may not connect to the database"),
        ("22023", 'role "quarry_app" does not exist', "the role quarry_app does not exist"),
        ("XX000", "something new\nin two lines", "something new"),
    ],
)
def test_each_common_failure_has_a_remedy_and_hides_the_password(state: str, text: str, said: str) -> None:
    error = asyncpg.PostgresError.new({"C": state, "M": text, "S": "FATAL"})
    explained = diagnosis.explained(error, Address("postgresql://u:hidden@h/q", role="quarry_app"))
    assert said in explained.message
    assert "\n" not in explained.message
    assert explained.remedy
    assert "hidden" not in explained.message
