"""Operations over several repositories or several transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from service import tokens
from service.database import Database
from service.errors import Forbidden, InvalidInput, TenantSuspended, Unauthorized
from service.passwords import Passwords
from service.permissions import may_grant
from service.repos.rows import removed, settled
from service.repos.sessions import Session
from service.repos.users import Role, User
from service.tenancy.identity import Actor, Origin, TenantId
from service.work import Work, run

_REFUSED = "The tenant, the address or the password is wrong."


@dataclass(frozen=True)
class SignIn:
    """A fresh session: the token is known here and to the client, and nowhere else."""

    token: str = field(repr=False)
    tenant: TenantId
    session: Session
    user: User
    number: int | None


async def sign_in(
    database: Database,
    passwords: Passwords,
    *,
    domain: str,
    email: str,
    password: str,
    origin: Origin,
    user_agent: str | None,
    lifetime: float,
) -> SignIn:
    """Open a session for the person who knows the password; `lifetime` in seconds.

    Unknown tenants and users take the time of known ones. No transaction is open while the password is compared, so the
    session is made only if the user is still the one that was compared. Raises Unauthorized, TenantSuspended.
    """
    entry = await run(database, lambda work: work.tenants.find_by_domain(domain), None, read_only=True)
    tenant = TenantId(entry.id) if entry else None
    credentials = None
    if tenant is not None:
        credentials = await run(database, lambda work: work.users.find_credentials(email), tenant, read_only=True)
    known = await passwords.verify(password, credentials.password_hash if credentials else None)
    if entry is None or tenant is None or credentials is None or not known or not credentials.is_active:
        raise Unauthorized(_REFUSED)
    if entry.status != "active":
        raise TenantSuspended
    user_id, password_hash = credentials.id, credentials.password_hash
    text, token = tokens.issue(tenant)

    async def open_session(work: Work) -> tuple[Session, User, Work]:
        session = await work.sessions.create(
            user_id=user_id, password_hash=password_hash, token_hash=token.hash, ip=origin.ip,
            user_agent=user_agent, expires_at=datetime.now(UTC) + timedelta(seconds=lifetime),
        )  # fmt: skip
        if session is None:
            raise Unauthorized(_REFUSED)
        work.actor = Actor(user_id, session.id)
        return session, await work.users.find(user_id), work

    session, user, work = await run(database, open_session, tenant, origin=origin)
    return SignIn(text, tenant, session, user, work.number)


def check_grant(caller_role: Role, role: Role) -> None:
    """Raises Forbidden where somebody of `caller_role` would reach above themselves."""
    if not may_grant(caller_role, role):
        raise Forbidden("This would need a higher role than yours.")


async def find_changeable(work: Work, caller_role: Role, id: UUID) -> User:
    """A user whom the caller may change: nobody who stands above them. Raises NotFound, Forbidden."""
    user = await work.users.find(id)
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


async def change_password(passwords: Passwords, current_hash: str | None, current: str | None, new: str) -> str:
    """The hash of the new password, after the old one has been compared where `current_hash` asks for it."""
    if current_hash is not None and not await passwords.verify(current or "", current_hash):
        raise InvalidInput.of("current_password", "This is not the current password.")
    return await passwords.hash(new)
