"""The permissions, and the weakest role that has each of them. Every route names the permission that a caller needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

ROLES: tuple[str, ...] = ("viewer", "member", "admin", "owner")
"""The roles, from the weakest to the strongest. Each has all permissions of the roles before it."""

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
"""Maps each permission to the weakest role that has it, or to None if no role is needed: for "anyone", and for "operator",
which is checked by an operator's token instead (api/operators.py)."""

_OF_PEOPLE: frozenset[Permission] = frozenset({"own_sessions", "own_password", "users.write", "keys.manage"})


def is_for_people(permission: Permission) -> bool:
    """Whether only people can have a permission, never API keys. An example is keys.manage.

    If a program could create users or keys, it could use these after its own key has been revoked.
    """
    return permission in _OF_PEOPLE


def weakest_role(permission: Permission) -> str | None:
    """The weakest role that has a permission, None if it needs no role."""
    return _WEAKEST_ROLE[permission]


def allows(role: str, permission: Permission) -> bool:
    """Whether a role has a permission."""
    weakest = weakest_role(permission)
    return weakest is None or ROLES.index(role) >= ROLES.index(weakest)


def may_grant(role: str, granted: str) -> bool:
    """Whether a caller with `role` may give users the role `granted`, and may change users who have it. True unless `granted` is
    the higher role.
    """
    return ROLES.index(role) >= ROLES.index(granted)


def roles_up_to(role: str) -> list[str]:
    """The roles whose users a caller with `role` may change: this role and all weaker ones."""
    return list(ROLES[: ROLES.index(role) + 1])


def is_admin(role: str) -> bool:
    """Whether users with this role administer the tenant: `admin` and `owner`."""
    return ROLES.index(role) >= ROLES.index("admin")
