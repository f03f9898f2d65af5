"""The types of values that are written into SET statements: tenant, origin, actor. They contain no quotes, so no SQL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")


def is_request_id(text: str) -> bool:
    """Whether `text` can be a request id: 1 to 64 characters, which are ASCII letters, digits, `.`, `_` or `-`."""
    return _REQUEST_ID.match(text) is not None


@dataclass(frozen=True)
class Origin:
    """What the log records about the origin of a commit: the IP address of the client, and the id of the request."""

    ip: IPv4Address | IPv6Address | None = None
    request_id: str | None = None

    def __post_init__(self) -> None:
        if self.request_id is not None and not is_request_id(self.request_id):
            raise ValueError("a request id is 1 to 64 of letters, digits, '.', '_' and '-'")
        if self.ip is not None and not isinstance(self.ip, IPv4Address | IPv6Address):
            raise TypeError(f"an IP address is needed, not {type(self.ip).__name__}")
        if isinstance(self.ip, IPv6Address) and self.ip.scope_id is not None:
            # The scope id (`eth0` in fe80::1%eth0) is removed: it may be any text, and means something on this host only.
            object.__setattr__(self, "ip", IPv6Address(int(self.ip)))


@dataclass(frozen=True)
class Actor:
    """What the log records about who made a commit. `user_id` is the id of a user or of an API key.

    `session_id` is the id of the user's session; None for an API key.
    """

    user_id: UUID
    session_id: UUID | None = None

    def __post_init__(self) -> None:
        as_uuid(self.user_id)
        if self.session_id is not None:
            as_uuid(self.session_id)


def as_uuid(value: object) -> UUID:
    """Return `value`, or raise TypeError if it is not a UUID. An annotation alone does not keep strings out of SET statements."""
    if not isinstance(value, UUID):
        raise TypeError(f"a UUID is needed, not {type(value).__name__}")
    return value
