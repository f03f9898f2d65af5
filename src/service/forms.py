"""The forms that settings are given in: durations, rates, lists of networks, hosts and origins, the address of Redis."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode
from redis.asyncio.connection import parse_url

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"[1-9][0-9]{0,5}/([1-9][0-9]{0,3})?(second|minute|hour|day)s?\Z")
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z")
_ORIGIN = re.compile(r"(https?)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?\Z")
_STANDARD_PORTS = {("http", "80"), ("https", "443")}

Network = IPv4Network | IPv6Network


def parse_duration(value: object) -> object:
    """Seconds from `30s`, `5m`, `250ms`; a bare number is milliseconds."""
    match = _DURATION.match(str(value).strip())
    if not match:
        raise ValueError("give a duration such as 30s, 5m or 250 (milliseconds)")
    return float(match.group(1)) * _UNITS[match.group(2) or "ms"]


def format_duration(seconds: float) -> str:
    """`seconds` as `parse_duration` reads it, in the largest unit that keeps it whole."""
    thousandths = round(seconds * 1000)
    for unit in ("d", "h", "m", "s"):
        size = round(_UNITS[unit] * 1000)
        if thousandths and thousandths % size == 0:
            return f"{thousandths // size}{unit}"
    return f"{thousandths}ms"


def _rate(text: str) -> str:
    rate = text.strip().lower()
    if rate != "off" and not _RATE.match(rate):
        raise ValueError("give a limit such as 100/minute or 10/5minutes (second, minute, hour, day), or off")
    return rate


def _networks(value: str | Iterable[object]) -> tuple[Network, ...]:
    return tuple(_network(item) for item in listed(value))


def _network(item: str) -> Network:
    try:
        return ip_network(item)
    except ValueError:
        raise ValueError(
            f"{item!r} is not an IP address or network; give them as 192.0.2.7,10.0.0.0/8,fd00::/8"
        ) from None


def _hosts(value: str | Iterable[object]) -> tuple[str, ...]:
    return tuple(_host(item.lower()) for item in listed(value))


def _host(item: str) -> str:
    if item.startswith("[") and item.endswith("]"):
        try:
            return f"[{IPv6Address(item[1:-1])}]"
        except ValueError:
            pass
    elif _NAME.match(item):
        return item
    raise ValueError(f"{item!r} is not a host name; give them as api.example.com,*.example.com, without ports")


def _origins(value: str | Iterable[object]) -> tuple[str, ...]:
    return tuple(_origin(item.lower()) for item in listed(value))


def _origin(item: str) -> str:
    match = _ORIGIN.match(item)
    # It is compared with what browsers send, and they leave standard ports out.
    if not match or match.group(1, 3) in _STANDARD_PORTS:
        raise ValueError(
            f"{item!r} is not an origin; give them as browsers do, https://app.example.com,http://localhost:3000,"
            " without a path and without the standard port"
        )
    return item


def listed(value: str | Iterable[object]) -> list[str]:
    """The items of a list with commas between them."""
    texts = value.split(",") if isinstance(value, str) else map(str, value)
    return [item for text in texts if (item := text.strip())]


def _redis_url(secret: SecretStr) -> SecretStr:
    try:
        parse_url(secret.get_secret_value())
    except ValueError:
        # Its own words may hold a part of the password.
        raise ValueError(
            "give it as redis://user:password@host:6379/0, rediss:// with TLS or unix:///path, special characters %-encoded"
        ) from None
    return secret


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Rate = Annotated[str, AfterValidator(_rate)]
"""`100/minute`, `10/5minutes`, or `off`."""
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]
"""Lower-case host names, IPv6 in brackets; `*.example.com` stands for every name below it."""
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
