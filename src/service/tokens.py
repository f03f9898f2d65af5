"""Bearer tokens: 256 random bits behind the tenant's id, so that a token is looked up inside its tenant."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from dataclasses import dataclass, field
from uuid import UUID

from service.tenancy.identity import TenantId

_PREFIX = "qs_"
_SECRET_BYTES = 32
_TENANT_BYTES = 16


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
    if not text.startswith(_PREFIX):
        return None
    try:
        raw = base64.b64decode(text[len(_PREFIX) :], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) != _TENANT_BYTES + _SECRET_BYTES:
        return None
    return Token(TenantId(UUID(bytes=raw[:_TENANT_BYTES])), hashlib.sha256(raw[_TENANT_BYTES:]).digest())
