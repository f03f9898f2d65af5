"""Encodes rows for Redis as JSON, with tags for types that JSON lacks. Unlike with pickle, decoding can't run code."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from uuid import UUID

from asyncpg.pgproto import pgproto

_PACK: Mapping[type, Callable[[Any], tuple[str, Any]]] = {
    bytes: lambda value: ("b", base64.b64encode(value).decode()),
    UUID: lambda value: ("u", value.hex),
    dt.datetime: lambda value: ("t", value.isoformat()),
    dt.date: lambda value: ("d", value.isoformat()),
    dt.timedelta: lambda value: ("s", [value.days, value.seconds, value.microseconds]),
    IPv4Address: lambda value: ("i", str(value)),
    IPv6Address: lambda value: ("i", str(value)),
}
_UNPACK: Mapping[str, Callable[[Any], Any]] = {
    "b": base64.b64decode,
    # This is asyncpg's subclass of uuid.UUID. To create an object of it takes a tenth of the time that uuid.UUID takes.
    "u": pgproto.UUID,
    "t": dt.datetime.fromisoformat,
    "d": dt.date.fromisoformat,
    "s": lambda parts: dt.timedelta(*parts),
    "i": ip_address,
}


def pack(value: object) -> bytes:
    """Encode lists, strings, numbers, None, and values of the types in _PACK. Raises TypeError for other types."""
    return json.dumps(value, default=_tagged, separators=(",", ":")).encode()


def unpack(data: bytes) -> Any:
    """Decode what `pack` has returned; tuples become lists. Raises ValueError if `data` can't be a result of `pack`."""
    try:
        return json.loads(data, object_hook=_untagged)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError) as error:
        raise ValueError("not packed here") from error


def _tagged(value: object) -> dict[str, Any]:
    # isinstance() is needed for asyncpg's subclass of UUID. A datetime is a date too, so _PACK has datetime first.
    make = _PACK.get(type(value)) or next((make for kind, make in _PACK.items() if isinstance(value, kind)), None)
    if make is None:
        raise TypeError(f"{type(value).__name__} is not packed")
    tag, plain = make(value)
    return {tag: plain}


def _untagged(pairs: dict[str, Any]) -> Any:
    ((tag, plain),) = pairs.items()
    return _UNPACK[tag](plain)
