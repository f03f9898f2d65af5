"""Bearer tokens: 256 random bits behind the tenant's id, so that a token is looked up inside its tenant.

What the database keeps of one is its hash, sealed with a key that the database does not have: a row that somebody puts there
by hand lets nobody in.
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

_PREFIXES: Mapping[Kind, str] = {"session": "qs_", "key": "qk_", "ticket": "qt_"}
_KINDS: Mapping[str, Kind] = {prefix: kind for kind, prefix in _PREFIXES.items()}
_COLUMNS: Mapping[Kind, bytes] = {
    "session": b"sessions.token_hash", "key": b"api_keys.key_hash", "ticket": b"change_tickets.token_hash",
}  # fmt: skip
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
    """A new token: the text for its holder, and what it says, with its bare hash; seal that before it is stored."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = _PREFIXES[kind] + base64.urlsafe_b64encode(tenant.bytes + secret).decode()
    return text, Token(kind, tenant, hashlib.sha256(secret).digest())


def use(kind: Kind) -> bytes:
    """What the hash of a token of this kind is sealed for: the column that keeps it."""
    return _COLUMNS[kind]


def read(text: str, *kinds: Kind) -> Token | None:
    """What a token says, or None when the text is no token of these kinds (a session's or a key's)."""
    if not _TOKEN.match(text) or _KINDS[text[:_PREFIX_LENGTH]] not in (kinds or ("session", "key")):
        return None
    raw = base64.urlsafe_b64decode(text[_PREFIX_LENGTH:])
    secret = raw[_TENANT_BYTES:]
    return Token(
        _KINDS[text[:_PREFIX_LENGTH]], TenantId(UUID(bytes=raw[:_TENANT_BYTES])), hashlib.sha256(secret).digest()
    )
