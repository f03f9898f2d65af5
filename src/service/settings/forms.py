"""Types that parse and check values of settings: durations, rates, lists of networks, hosts, origins and tokens, Redis' URL."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode
from redis.asyncio.connection import parse_url

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"[1-9][0-9]{0,5}/([1-9][0-9]{0,3})?(second|minute|hour|day)s?\Z")
_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*\Z")
_ORIGIN = re.compile(r"(https?)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?\Z")
SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
RESERVED_SCHEMAS = frozenset({"app", "public", "information_schema"})
_LEAST_TOKEN = 16
_STANDARD_PORTS = {("http", "80"), ("https", "443")}

Network = IPv4Network | IPv6Network


def parse_duration(value: object) -> object:
    """Parse a duration such as `30s`, `5m` or `250ms`; returns seconds. A number without a unit is in milliseconds."""
    match = _DURATION.match(str(value).strip())
    if not match:
        raise ValueError("give a duration such as 30s, 5m or 250 (milliseconds)")
    return float(match.group(1)) * _UNITS[match.group(2) or "ms"]


def format_duration(seconds: float) -> str:
    """Write a duration in the form that `parse_duration` reads, in the largest unit that gives a whole number: 300.0 is `5m`."""
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
    # Standard ports are refused: the item is compared with the header Origin, in which browsers leave standard ports out.
    if not match or match.group(1, 3) in _STANDARD_PORTS:
        raise ValueError(
            f"{item!r} is not an origin; give them as browsers do, https://app.example.com,http://localhost:3000,"
            " without a path and without the standard port"
        )
    return item


def listed(value: str | Iterable[object]) -> list[str]:
    """The items of a comma-separated list, without surrounding blanks and without empty items."""
    texts = value.split(",") if isinstance(value, str) else map(str, value)
    return [item for text in texts if (item := text.strip())]


def _redis_url(secret: SecretStr) -> SecretStr:
    url = secret.get_secret_value()
    try:
        parse_url(url)
        # Refuse unencoded special characters in the password: after / or ?, a part of it would be read as a port or path.
        if url.count("@") > 1 or ("@" in url and "@" not in urlsplit(url).netloc):
            raise ValueError
    except ValueError:
        # The original error is not shown, because its message may contain a part of the password.
        raise ValueError(
            "give it as redis://user:password@host:6379/0, rediss:// with TLS or unix:///path, special characters %-encoded"
        ) from None
    return secret


def is_meant_for_others(name: str, value: object) -> bool:
    """Whether an environment variable with the name of one of our settings was set by other software, so that it is ignored.

    Kubernetes sets REDIS_PORT=tcp://10.0.0.1:6379 for a service that is called redis. conda sets HOST to the platform that its
    compilers build for, such as x86_64-conda-linux-gnu.
    """
    text = str(value)
    return (name.endswith("_port") and text.startswith("tcp://")) or (name == "host" and "-conda" in text)


def schema_name(name: str) -> str:
    """Return `name` if a schema for tenant tables may have this name. Raises ValueError for reserved and malformed names."""
    if not SCHEMA_NAME.match(name) or name in RESERVED_SCHEMAS or name.startswith("pg_"):
        raise ValueError(
            "give a lower-case word of letters, digits and _ that is no schema of PostgreSQL's, and not app or public"
        )
    return name


def _operator_tokens(value: str | Iterable[object]) -> tuple[SecretStr, ...]:
    tokens = listed(value)
    if any(len(token) < _LEAST_TOKEN for token in tokens):
        raise ValueError(f"a token has at least {_LEAST_TOKEN} characters; `openssl rand -hex 32` makes one")
    return tuple(SecretStr(token) for token in tokens)


Seconds = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
Rate = Annotated[str, AfterValidator(_rate)]
"""A rate limit, such as `100/minute` or `10/5minutes`; `off` means no limit."""
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Hosts = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_hosts)]
"""Host names in lower case, and IPv6 addresses in brackets. `*.example.com` stands for all names that end in .example.com."""
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_origins)]
OperatorTokens = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_operator_tokens)]
"""Tokens with which operators send requests. Several may be valid, so that a token can be replaced without interruption."""
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
