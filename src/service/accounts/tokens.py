"""Bearer tokens: 256 random bits behind the tenant's id, so that a token is looked up inside its tenant.

The database keeps a token's hash, and beside it a MAC of what the token's row says, made with a key that the database does not
have: a row that somebody makes or changes by hand lets nobody in. The functions below say which fields a MAC covers.
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
"""What a MAC covers, besides the tenant."""

_PREFIXES: Mapping[Kind, str] = {"session": "qs_", "key": "qk_", "ticket": "qt_"}
_KINDS: Mapping[str, Kind] = {prefix: kind for kind, prefix in _PREFIXES.items()}
_PREFIX_LENGTH = 3
_SECRET_BYTES = 32
_TENANT_BYTES = 16
_TOKEN = re.compile(r"q[skt]_[A-Za-z0-9_-]{64}\Z")
"""48 bytes in base64, which has one spelling for them."""


@dataclass(frozen=True)
class Token:
    """What a token is, the tenant that it names, and its hash (SHA-256)."""

    kind: Kind
    tenant: TenantId
    hash: bytes = field(repr=False)


def issue(tenant: TenantId, kind: Kind = "session") -> tuple[str, Token]:
    """A new token: the text for its holder, and what it says."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = _PREFIXES[kind] + base64.urlsafe_b64encode(tenant.bytes + secret).decode()
    return text, Token(kind, tenant, hashlib.sha256(secret).digest())


def session_fields(hashed: bytes, user: UUID) -> Fields:
    """Of a session: its kind, the hash of its token, and the user."""
    return b"session", hashed, user.bytes


def key_fields(hashed: bytes, maker: UUID, role: str) -> Fields:
    """Of an API key: its kind, its hash, who made it, and its role."""
    return b"key", hashed, maker.bytes, role.encode()


def ticket_fields(hashed: bytes, kind: str, bearer_hash: bytes) -> Fields:
    """Of a ticket: its kind, its hash, and the session or API key that it stands for."""
    return b"ticket", hashed, kind.encode(), bearer_hash


def read(text: str, *kinds: Kind) -> Token | None:
    """What a token says, or None when the text is no token of these kinds (a session's or a key's)."""
    if not _TOKEN.match(text) or _KINDS[text[:_PREFIX_LENGTH]] not in (kinds or ("session", "key")):
        return None
    raw = base64.urlsafe_b64decode(text[_PREFIX_LENGTH:])
    secret = raw[_TENANT_BYTES:]
    return Token(
        _KINDS[text[:_PREFIX_LENGTH]], TenantId(UUID(bytes=raw[:_TENANT_BYTES])), hashlib.sha256(secret).digest()
    )
