"""Permissions: four roles, each of which may do what the weaker ones may."""

from __future__ import annotations

from typing import get_args

import pytest

from service.accounts.permissions import ROLES, Permission, allows, is_admin, may_grant
from service.repos.users import Role

PERMISSIONS = get_args(Permission)
ADMINS_ONLY = {"tenant.write", "users.write"}
MEMBERS_AND_UP = {"campaigns.write"}


def test_the_roles_are_those_of_users_from_the_weakest_to_the_strongest() -> None:
    assert ROLES == ("viewer", "member", "admin", "owner")
    assert set(ROLES) == set(get_args(Role))


@pytest.mark.parametrize("permission", PERMISSIONS)
def test_a_stronger_role_may_do_what_a_weaker_one_may(permission: Permission) -> None:
    answers = [allows(role, permission) for role in ROLES]
    assert answers == sorted(answers)
    assert answers[-1]


def test_what_a_role_may_do() -> None:
    may = {role: {permission for permission in PERMISSIONS if allows(role, permission)} for role in ROLES}
    assert may["owner"] == may["admin"] == set(PERMISSIONS)
    assert may["admin"] - may["member"] >= ADMINS_ONLY
    assert may["member"] - may["viewer"] >= MEMBERS_AND_UP
    assert {name for name in may["viewer"] if name.endswith(".write")} == set()
    assert {name for name in PERMISSIONS if name.endswith(".read")} - may["viewer"] <= {"audit.read", "keys.read"}


@pytest.mark.parametrize("role", ROLES)
def test_nobody_reaches_above_their_own_role(role: str) -> None:
    rank = ROLES.index(role)
    assert [may_grant(role, other) for other in ROLES] == [True] * (rank + 1) + [False] * (len(ROLES) - rank - 1)


def test_admins_and_owners_administer() -> None:
    assert [is_admin(role) for role in ROLES] == [False, False, True, True]


def test_an_unknown_role_may_nothing() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        allows("superuser", "campaigns.read")
