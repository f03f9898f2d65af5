"""Who may do what: the one table of permissions. Every route names one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ROLES: tuple[str, ...] = ("viewer", "member", "admin", "owner")
"""From the weakest to the strongest; each may do what the ones before it may."""

Permission = Literal[
    "anyone",
    "own_sessions",
    "tenant.read",
    "tenant.write",
    "users.read",
    "users.write",
    "own_password",
    "campaigns.read",
    "campaigns.write",
    "niches.read",
]

_WEAKEST_ROLE: Mapping[Permission, str | None] = {
    "anyone": None,
    "own_sessions": "viewer",
    "own_password": "viewer",
    "tenant.read": "viewer",
    "tenant.write": "admin",
    "users.read": "viewer",
    "users.write": "admin",
    "campaigns.read": "viewer",
    "campaigns.write": "member",
    "niches.read": "viewer",
}


def allows(role: str, permission: Permission) -> bool:
    """Whether a role has a permission."""
    weakest = _WEAKEST_ROLE[permission]
    return weakest is None or ROLES.index(role) >= ROLES.index(weakest)


def may_grant(role: str, granted: str) -> bool:
    """Whether somebody of `role` may give (or touch) the role `granted`: nobody reaches above their own."""
    return ROLES.index(role) >= ROLES.index(granted)


def is_admin(role: str) -> bool:
    """Whether a role administers its tenant."""
    return ROLES.index(role) >= ROLES.index("admin")
