"""Bearer tokens: the tenant's id followed by 256 random bits, so that a token is searched for only among the tokens of
its tenant.

The database stores a token's hash and a MAC of the fields of its row. The key of the MAC is not in the database, so a row that
somebody inserts or changes by hand is not accepted. The functions `…_fields` say which fields a MAC covers.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from service.tenancy.identity import TenantId

Kind = Literal["session", "key", "ticket"]
Fields = tuple[bytes, ...]
"""The fields that a MAC covers, besides the tenant."""

_PREFIXES: Mapping[Kind, str] = {"session": "qs_", "key": "qk_", "ticket": "qt_"}
_KINDS: Mapping[str, Kind] = {prefix: kind for kind, prefix in _PREFIXES.items()}
_PREFIX_LENGTH = 3
_SECRET_BYTES = 32
_TENANT_BYTES = 16
_TOKEN = re.compile(r"q[skt]_[A-Za-z0-9_-]{64}\Z")
"""A prefix and 48 bytes in base64. Base64 needs no padding for 48 bytes, so a token has only one spelling."""


@dataclass(frozen=True)
class Token:
    """A parsed token: its kind, the tenant that it names, and the hash (SHA-256) of its random bits."""

    kind: Kind
    tenant: TenantId
    hash: bytes = field(repr=False)


def issue(tenant: TenantId, kind: Kind = "session") -> tuple[str, Token]:
    """A new token, as the text for its holder and in parsed form."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = _PREFIXES[kind] + base64.urlsafe_b64encode(tenant.bytes + secret).decode()
    return text, Token(kind, tenant, hashlib.sha256(secret).digest())


def session_fields(hashed: bytes, user: UUID) -> Fields:
    """The fields that a session's MAC covers: its kind, the hash of its token, and the user."""
    return b"session", hashed, user.bytes


def key_fields(hashed: bytes, maker: UUID, role: str) -> Fields:
    """The fields that an API key's MAC covers: its kind, its hash, the user who created it, and its role."""
    return b"key", hashed, maker.bytes, role.encode()


def ticket_fields(hashed: bytes, kind: str, bearer_hash: bytes) -> Fields:
    """The fields that a ticket's MAC covers: its kind, its hash, and the kind and hash of the token that it was issued for."""
    return b"ticket", hashed, kind.encode(), bearer_hash


def read(text: str, *kinds: Kind) -> Token | None:
    """The token in a text, or None if it is not a token of one of `kinds` (by default, of a session or an API key)."""
    if not _TOKEN.match(text) or _KINDS[text[:_PREFIX_LENGTH]] not in (kinds or ("session", "key")):
        return None
    raw = base64.urlsafe_b64decode(text[_PREFIX_LENGTH:])
    secret = raw[_TENANT_BYTES:]
    return Token(
        _KINDS[text[:_PREFIX_LENGTH]], TenantId(UUID(bytes=raw[:_TENANT_BYTES])), hashlib.sha256(secret).digest()
    )
