"""Bearer tokens: 256 random bits behind the tenant's id, so that a token is looked up inside its tenant."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from service.tenancy.identity import TenantId

_PREFIX = "qs_"
_SECRET_BYTES = 32
_TENANT_BYTES = 16
_TOKEN = re.compile(r"qs_[A-Za-z0-9_-]{64}\Z")
"""48 bytes in base64, which has one spelling for them."""


@dataclass(frozen=True)
class Token:
    """The tenant that a token names, and the hash (SHA-256) that finds its row."""

    tenant: TenantId
    hash: bytes = field(repr=False)


def issue(tenant: TenantId) -> tuple[str, Token]:
    """A new token: the text for its holder, and what the database keeps of it."""
    secret = secrets.token_bytes(_SECRET_BYTES)
    text = _PREFIX + base64.urlsafe_b64encode(tenant.bytes + secret).decode()
    return text, Token(tenant, hashlib.sha256(secret).digest())


def read(text: str) -> Token | None:
    """What a token says, or None when the text is no token."""
    if not _TOKEN.match(text):
        return None
    raw = base64.urlsafe_b64decode(text.removeprefix(_PREFIX))
    return Token(TenantId(UUID(bytes=raw[:_TENANT_BYTES])), hashlib.sha256(raw[_TENANT_BYTES:]).digest())
