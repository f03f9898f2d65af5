"""Who may do what: the one table of permissions. Every route names one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ROLES: tuple[str, ...] = ("viewer", "member", "admin", "owner")
"""From the weakest to the strongest; each may do what the ones before it may."""

Permission = Literal[
    "anyone",
    "operator",
    "own_sessions",
    "own_password",
    "tenant.read",
    "tenant.write",
    "users.read",
    "users.write",
    "keys.manage",
    "audit.read",
    "niches.read",
    "campaigns.read",
    "campaigns.write",
    "brands.read",
    "brands.write",
    "influencers.read",
    "influencers.write",
    "codes.send",
    "changes.read",
]

_WEAKEST_ROLE: Mapping[Permission, str | None] = {
    "anyone": None,
    "operator": None,
    "own_sessions": "viewer",
    "own_password": "viewer",
    "tenant.read": "viewer",
    "tenant.write": "admin",
    "users.read": "viewer",
    "users.write": "admin",
    "keys.manage": "admin",
    "audit.read": "admin",
    "niches.read": "viewer",
    "campaigns.read": "viewer",
    "campaigns.write": "member",
    "brands.read": "viewer",
    "brands.write": "member",
    "influencers.read": "viewer",
    "influencers.write": "member",
    "codes.send": "member",
    "changes.read": "viewer",
}
"""Nobody asks "anyone" for a role; "operator" asks for the operator's token instead (api/operators.py)."""

_OF_PEOPLE: frozenset[Permission] = frozenset({"own_sessions", "own_password", "users.write", "keys.manage"})


def is_for_people(permission: Permission) -> bool:
    """Whether a permission is for people alone: their own account, and what lets somebody in, users and keys.

    A program that could create users or keys would keep its access after its own key is revoked.
    """
    return permission in _OF_PEOPLE


def weakest_role(permission: Permission) -> str | None:
    """The weakest role that has a permission, None where no role is asked for."""
    return _WEAKEST_ROLE[permission]


def allows(role: str, permission: Permission) -> bool:
    """Whether a role has a permission."""
    weakest = weakest_role(permission)
    return weakest is None or ROLES.index(role) >= ROLES.index(weakest)


def may_grant(role: str, granted: str) -> bool:
    """Whether somebody of `role` may give (or touch) the role `granted`: nobody reaches above their own."""
    return ROLES.index(role) >= ROLES.index(granted)


def roles_up_to(role: str) -> list[str]:
    """The roles that somebody of `role` may touch."""
    return list(ROLES[: ROLES.index(role) + 1])


def is_admin(role: str) -> bool:
    """Whether a role administers its tenant."""
    return ROLES.index(role) >= ROLES.index("admin")
