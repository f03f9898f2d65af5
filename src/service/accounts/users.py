"""Accounts of users: which users a caller may change, and how a password is changed."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any
from uuid import UUID

from service.accounts.passwords import Passwords, weakness
from service.accounts.permissions import may_grant
from service.engine import EngineWork
from service.errors import FieldError, Forbidden, InvalidInput
from service.repos.users import KeptHash, Role, User
from service.statements.outcomes import changed_row, check_removed
from service.tenancy.identity import Origin


def check_grant(caller_role: Role, role: Role) -> None:
    """Raise Forbidden if `role` is higher than the caller's own role, `caller_role`."""
    if not may_grant(caller_role, role):
        raise Forbidden("This would need a higher role than yours.")


async def find_changeable(work: EngineWork, caller_role: Role, id: UUID) -> User:
    """Lock a user's row and return the user. Raises NotFound, or Forbidden if the user's role is higher than the caller's."""
    user = await work.users.lock(id)
    check_grant(caller_role, user.role)
    return user


async def change_user(
    work: EngineWork, caller_role: Role, id: UUID, version: int | None, fields: dict[str, Any]
) -> User:
    """Change a user's fields. If this deactivates the user, also end the user's sessions.

    Raises Forbidden if the user's role or the new role is higher than the caller's. Also raises NotFound, StaleVersion,
    Conflict.
    """
    await find_changeable(work, caller_role, id)
    if "role" in fields:
        check_grant(caller_role, fields["role"])
    outcome = await work.users.update(id, version=version, given=list(fields), **fields)
    if fields.get("is_active") is False:
        await work.sessions.revoke_of_user(id)
    return changed_row(outcome)


async def remove_user(work: EngineWork, caller_role: Role, id: UUID, version: int | None) -> None:
    """Delete a user and end their sessions. Raises NotFound, Forbidden, StaleVersion, InUse, Conflict."""
    await find_changeable(work, caller_role, id)
    check_removed(await work.users.remove(id, version=version))
    await work.sessions.revoke_of_user(id)


class WrongPassword(InvalidInput):
    """This is not the current password."""

    def __init__(self) -> None:
        super().__init__(errors=(FieldError("current_password", "This is not the current password."),))


async def check_password(work: EngineWork, password: str, *own: str) -> None:
    """Raise InvalidInput if a password is easy to guess (see `weakness`). `own` are texts about the user, such as the name."""
    tenant = await work.tenants.current()
    if (why := weakness(password, *own, tenant.domain, tenant.name)) is not None:
        raise InvalidInput.of("password", f"{why}; choose another one")


async def note_wrong_password(work: EngineWork, user_id: UUID, origin: Origin) -> None:
    """Record in the list of failed sign-ins that a user who wanted to change their password gave a wrong current password."""
    user = await work.users.find(user_id)
    await work.sign_in_failures.create(
        email=user.email, user_id=user_id, ip=origin.ip, user_agent=None, request_id=origin.request_id
    )


async def change_password(
    passwords: Passwords, known: KeptHash | None, current: str | None, new: str, *, whose: Hashable = None
) -> str:
    """Check the current password `current` against its hash `known`, and return the hash of the new password `new`.

    If `known` is None, nothing is checked. Raises InvalidInput if the current password is missing, WrongPassword, HashingBusy.
    """
    if known is not None and current is None:
        raise InvalidInput.of("current_password", "Give the current password, too.")
    if known is not None and not await passwords.verify(current or "", known.opened, whose=whose):
        raise WrongPassword
    return await passwords.hash(new, whose=whose)
