"""Bearer tokens of sessions, API keys and tickets. A token contains its tenant's id and 256 random bits. The id says in which
tenant's rows the token has to be looked up.

A token's row contains a hash of the token, and a MAC of some fields. The key of the MAC is not in the database. So a row is not
accepted if somebody with access to the database has inserted it, or has changed one of these fields. The functions
`…_fields` return the fields that the MAC covers.
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
"""The fields of a row that its MAC covers. The tenant's id, which every MAC covers, is not among them."""

_PREFIXES: Mapping[Kind, str] = {"session": "qs_", "key": "qk_", "ticket": "qt_"}
_KINDS: Mapping[str, Kind] = {prefix: kind for kind, prefix in _PREFIXES.items()}
_PREFIX_LENGTH = 3
_SECRET_BYTES = 32
_TENANT_BYTES = 16
_TOKEN = re.compile(r"q[skt]_[A-Za-z0-9_-]{64}\Z")
"""The text of a token: a prefix and 48 bytes in base64. For 48 bytes, base64 has no padding and no unused bits, so the same
token can't be written in two ways."""


@dataclass(frozen=True)
class Token:
    """A parsed token: its kind, the tenant that it names, and the hash (SHA-256) of its random bits."""

    kind: Kind
    tenant: TenantId
    hash: bytes = field(repr=False)


def issue(tenant: TenantId, kind: Kind = "session") -> tuple[str, Token]:
    """A new token of the tenant, in two forms: as the text for its holder, and parsed."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = _PREFIXES[kind] + base64.urlsafe_b64encode(tenant.bytes + secret).decode()
    return text, Token(kind, tenant, hashlib.sha256(secret).digest())


def session_fields(hashed: bytes, user: UUID) -> Fields:
    """The fields that a session's MAC covers: the word `session`, the hash of the session's token, and the user's id."""
    return b"session", hashed, user.bytes


def key_fields(hashed: bytes, maker: UUID, role: str) -> Fields:
    """The fields that an API key's MAC covers: the word `key`, the key's hash, the id of the user who created it, its role."""
    return b"key", hashed, maker.bytes, role.encode()


def ticket_fields(hashed: bytes, kind: str, bearer_hash: bytes) -> Fields:
    """The fields that a ticket's MAC covers: the word `ticket`, the ticket's hash, and the kind and the hash of the token with
    which the ticket was requested.
    """
    return b"ticket", hashed, kind.encode(), bearer_hash


def read(text: str, *kinds: Kind) -> Token | None:
    """Parse the text of a token. Returns None if it is malformed, or not of one of `kinds` (by default: session and key).

    Whether the token exists in the database is not checked here.
    """
    if not _TOKEN.match(text) or _KINDS[text[:_PREFIX_LENGTH]] not in (kinds or ("session", "key")):
        return None
    raw = base64.urlsafe_b64decode(text[_PREFIX_LENGTH:])
    secret = raw[_TENANT_BYTES:]
    return Token(
        _KINDS[text[:_PREFIX_LENGTH]], TenantId(UUID(bytes=raw[:_TENANT_BYTES])), hashlib.sha256(secret).digest()
    )
