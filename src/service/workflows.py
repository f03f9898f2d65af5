"""Operations over several repositories or several transactions."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

from service import codes
from service.errors import FieldError, Forbidden, InvalidInput, Reference
from service.passwords import Passwords, weakness
from service.permissions import may_grant
from service.repos.rows import removed, settled
from service.repos.users import KeptHash, Role, User
from service.tenancy.identity import Origin
from service.work import Work

P_co = TypeVar("P_co", covariant=True)


def check_grant(caller_role: Role, role: Role) -> None:
    """Raises Forbidden where somebody of `caller_role` would reach above themselves."""
    if not may_grant(caller_role, role):
        raise Forbidden("This would need a higher role than yours.")


async def find_changeable(work: Work, caller_role: Role, id: UUID) -> User:
    """A user whom the caller may change: nobody who stands above them. Raises NotFound, Forbidden."""
    user = await work.users.lock(id)
    check_grant(caller_role, user.role)
    return user


async def change_user(work: Work, caller_role: Role, id: UUID, version: int | None, fields: dict[str, Any]) -> User:
    """Change a user's fields and end the sessions of one who is no longer active.

    Raises NotFound, Forbidden (nobody grants a role above their own), StaleVersion, Conflict.
    """
    await find_changeable(work, caller_role, id)
    if "role" in fields:
        check_grant(caller_role, fields["role"])
    outcome = await work.users.update(id, version=version, given=list(fields), **fields)
    if fields.get("is_active") is False:
        await work.sessions.revoke_of_user(id)
    return settled(outcome)


async def remove_user(work: Work, caller_role: Role, id: UUID, version: int | None) -> None:
    """Delete a user and end their sessions. Raises NotFound, Forbidden, StaleVersion, InUse, Conflict."""
    await find_changeable(work, caller_role, id)
    removed(await work.users.remove(id, version=version))
    await work.sessions.revoke_of_user(id)


class WrongPassword(InvalidInput):
    """This is not the current password."""

    def __init__(self) -> None:
        super().__init__(errors=(FieldError("current_password", "This is not the current password."),))


async def check_password(work: Work, password: str, *own: str) -> None:
    """Raises InvalidInput for a password that would be guessed at once; `own` are the words of whose it is."""
    tenant = await work.tenants.current()
    if (why := weakness(password, *own, tenant.domain, tenant.name)) is not None:
        raise InvalidInput.of("password", f"{why}; choose another one")


async def note_wrong_password(work: Work, user_id: UUID, origin: Origin) -> None:
    """For the audit: somebody who is signed in has guessed at their own password."""
    user = await work.users.find(user_id)
    await work.sign_in_failures.create(
        email=user.email, user_id=user_id, ip=origin.ip, user_agent=None, request_id=origin.request_id
    )


async def change_password(
    passwords: Passwords, known: KeptHash | None, current: str | None, new: str, *, whose: Hashable = None
) -> str:
    """The hash of the new password, after the old one has been compared where its hash is `known`.

    Raises WrongPassword, InvalidInput, HashingBusy.
    """
    if known is not None and current is None:
        raise InvalidInput.of("current_password", "Give the current password, too.")
    if known is not None and not await passwords.verify(current or "", known.opened, whose=whose):
        raise WrongPassword
    return await passwords.hash(new, whose=whose)


class Profiles(Protocol[P_co]):
    """The repositories of brands and influencers."""

    @property
    def create(self) -> Callable[..., Awaitable[P_co]]: ...
    @property
    def find(self) -> Callable[[UUID], Awaitable[P_co]]: ...
    @property
    def update(self) -> Callable[..., Awaitable[Any]]: ...
    @property
    def replace_niches(self) -> Callable[[UUID, list[UUID]], Awaitable[int]]: ...


async def create_profile(profiles: Profiles[P_co], fields: dict[str, Any]) -> P_co:
    """A new brand or influencer with its niches. Raises Conflict, Reference (a niche that does not exist)."""
    with _naming_niches():
        return await profiles.create(id=uuid4(), **fields)


async def change_profile(profiles: Profiles[P_co], id: UUID, version: int | None, fields: dict[str, Any]) -> P_co:
    """Change a brand's or influencer's fields, and replace its niches if `niche_ids` are among them.

    Raises NotFound, StaleVersion, Conflict, Reference.
    """
    niche_ids = fields.pop("niche_ids", None)
    changed: P_co = settled(await profiles.update(id, version=version, given=list(fields), **fields))
    if niche_ids is None:
        return changed
    with _naming_niches():
        await profiles.replace_niches(id, niche_ids)
    return await profiles.find(id)


@contextlib.contextmanager
def _naming_niches() -> Iterator[None]:
    """A niche that does not exist is a mistake in `niche_ids`, whichever row of the association it was."""
    try:
        yield
    except Reference as error:
        raise Reference(errors=(FieldError("niche_ids", "There is no such niche."),)) from error


@dataclass(frozen=True)
class Verification:
    """The profiles whose phone has just been verified."""

    brands: list[UUID]
    influencers: list[UUID]


async def verify_phone(work: Work, phone: str, code: str) -> Verification | None:
    """Count a guess; if it is right, mark the profiles with this phone. None when it is not."""
    attempt = await work.otps.attempt(phone=phone, code=code, attempts=codes.ATTEMPTS)
    if attempt is None or not attempt.is_right:
        return None
    brands = await work.brands.verify_phone(phone)
    influencers = await work.influencers.verify_phone(phone)
    return Verification([row.id for row in brands], [row.id for row in influencers])
