"""The types of a binding: nothing whose text could end a SET statement gets in."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from uuid import UUID, uuid4

import pytest
from asyncpg.pgproto.pgproto import UUID as DriverUUID  # noqa: N811
from hypothesis import given
from hypothesis import strategies as some

from service.tenancy.identity import Actor, Origin, as_uuid, is_request_id

SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a'b",
        "a\n",
        "\n",
        "a b",
        "a;b",
        "a\\",
        'a"b',
        "a$b",
        "ä",
        "١",
        "a\x00",
        "a" * 65,
        "x'; DROP TABLE users; --",
    ],
)
def test_such_a_request_id_is_refused(text: str) -> None:
    assert not is_request_id(text)
    with pytest.raises(ValueError, match="a request id is 1 to 64"):
        Origin(request_id=text)


@pytest.mark.parametrize("text", ["a", "a" * 64, "0f3c-ab.c_D", "--", "."])
def test_such_a_request_id_is_taken(text: str) -> None:
    assert Origin(request_id=text).request_id == text


@given(some.text(min_size=1, max_size=70))
def test_a_request_id_is_taken_exactly_if_all_its_characters_are_safe(text: str) -> None:
    assert is_request_id(text) == (set(text) <= SAFE and len(text) <= 64)


@pytest.mark.parametrize("text", ["fe80::1%'; drop table x; --", "fe80::1%eth0", "fe80::1%\n", "fe80::1%" + "a" * 1000])
def test_the_scope_of_an_address_is_dropped(text: str) -> None:
    assert Origin(ip=IPv6Address(text)).ip == IPv6Address("fe80::1")


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7"])
def test_an_address_without_a_scope_is_kept(text: str) -> None:
    assert Origin(ip=ip_address(text)).ip == ip_address(text)


@pytest.mark.parametrize("ip", ["192.0.2.7", "'; DROP TABLE users; --", 3221225991, b"\xc0\x00\x02\x07"])
def test_an_address_that_is_none_is_refused(ip: object) -> None:
    with pytest.raises(TypeError, match="an IP address is needed"):
        Origin(ip=ip)  # type: ignore[arg-type]


def test_an_origin_can_be_empty() -> None:
    assert (Origin().ip, Origin().request_id) == (None, None)
    assert Origin(IPv4Address("192.0.2.7"), "r") == Origin(IPv4Address("192.0.2.7"), "r")


@pytest.mark.parametrize("value", [str(UUID(int=7)), "'; DROP TABLE users; --", None, 7, b"0" * 16])
def test_what_is_no_uuid_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="a UUID is needed"):
        as_uuid(value)
    with pytest.raises(TypeError, match="a UUID is needed"):
        Actor(value)  # type: ignore[arg-type]
    if value is not None:
        with pytest.raises(TypeError, match="a UUID is needed"):
            Actor(uuid4(), value)  # type: ignore[arg-type]


def test_the_drivers_uuid_is_a_uuid() -> None:
    plain = uuid4()
    assert as_uuid(DriverUUID(str(plain))) == plain
    assert Actor(DriverUUID(str(plain)), UUID(int=1)).user_id == plain
