"""Signing in: create a session from a tenant's domain, an email address and a password."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from service.accounts import tokens
from service.accounts.passwords import Passwords
from service.database.database import Database
from service.engine import EngineWork
from service.errors import TenantSuspended, Unauthorized
from service.repos.sessions import Session
from service.repos.tenants import TenantEntry
from service.repos.users import Credentials, User
from service.tenancy.identity import Actor, Origin, TenantId

_REFUSED = "The tenant, the address or the password is wrong."


class _NotKept(Exception):
    """Raised inside the block of a savepoint in `_note`, in order to roll back to the savepoint."""


@dataclass(frozen=True)
class SignIn:
    """A new session and its user. `token` is the session's token for the client; the database stores only a hash of the token."""

    token: str = field(repr=False)
    tenant: TenantId
    session: Session
    user: User
    work: EngineWork
    """The unit of work that created the session. `work.number` is the number of the commit."""


@dataclass(frozen=True)
class SignInAttempt:
    """An attempt to sign in. `domain` is the tenant's domain, and `place` the client's network.

    `lifetime` is the lifetime of the new session in seconds. `may_note` is called if no user of the tenant has the email address:
    it returns whether the failure may be recorded, or the limit of such records is reached.
    """

    domain: str
    email: str
    password: str = field(repr=False)
    origin: Origin
    place: str
    user_agent: str | None
    lifetime: float
    may_note: Callable[[TenantId], Awaitable[bool]]


async def sign_in(database: Database, passwords: Passwords, attempt: SignInAttempt) -> SignIn:
    """Create a session if the password is right. The time that this takes does not depend on whether the user exists.

    No transaction is open while the password is compared. So the transaction that creates the session checks once more that the
    password is unchanged and that user and tenant are active. If not, the password is compared a second time. If the tenant
    exists, a wrong email address or password is recorded for its audit. Raises Unauthorized, TenantSuspended, HashingBusy.
    """
    entry = await EngineWork.run(
        database, lambda work: work.tenants.find_by_domain(attempt.domain), None, read_only=True
    )
    signed_in = await _compared(database, passwords, attempt, entry)
    if signed_in is None:
        signed_in = await _compared(database, passwords, attempt, entry)
    if signed_in is None:
        raise Unauthorized(_REFUSED)
    return signed_in


async def is_known_place(database: Database, domain: str, email: str, origin: Origin) -> bool:
    """Whether the user with this email address, who is not deleted, has signed in before from the IP address of `origin`.

    This is known from the sessions that are still stored, ended or not.
    """
    entry = await EngineWork.run(database, lambda work: work.tenants.find_by_domain(domain), None, read_only=True)
    ip = origin.ip
    if entry is None or ip is None:
        return False
    return await EngineWork.run(
        database, lambda work: work.users.is_known(email=email, ip=ip), TenantId(entry.id), read_only=True
    )


async def _compared(
    database: Database, passwords: Passwords, attempt: SignInAttempt, entry: TenantEntry | None
) -> SignIn | None:
    """Compare the password and create the session. Raises Unauthorized, TenantSuspended.

    Returns None if user or tenant were changed while the password was compared, so that there is no session.
    """
    tenant = TenantId(entry.id) if entry else None
    credentials, hashed = await _find(database, tenant, attempt.email) if tenant else (None, None)
    known = await passwords.verify(attempt.password, hashed, whose=attempt.place)
    if entry is None or tenant is None:
        raise Unauthorized(_REFUSED)
    if credentials is None or hashed is None or not known or not credentials.is_active:
        await _note(database, tenant, attempt, credentials.id if credentials else None)
        raise Unauthorized(_REFUSED)
    if entry.status != "active":
        raise TenantSuspended
    # For an unknown email address, the password is compared with a hash that has the parameters of new hashes. With other
    # parameters it takes a different time, which would reveal that the user exists. So a hash with others is replaced.
    renewed = await passwords.hash(attempt.password, whose=attempt.place) if passwords.is_outdated(hashed) else None
    return await _opened(database, tenant, attempt, credentials, renewed)


async def _find(database: Database, tenant: TenantId, email: str) -> tuple[Credentials | None, str | None]:
    """The credentials of the user with this email address, and the unsealed password hash.

    Both are None if there is no such user. The hash is also None if it can't be unsealed.
    """

    async def operation(work: EngineWork) -> tuple[Credentials | None, str | None]:
        credentials = await work.users.credentials_of(email)
        return credentials, work.users.opened(credentials).opened if credentials else None

    return await EngineWork.run(database, operation, tenant, read_only=True)


async def _opened(
    database: Database, tenant: TenantId, attempt: SignInAttempt, credentials: Credentials, renewed: str | None
) -> SignIn | None:
    text, token = tokens.issue(tenant)

    async def open_session(work: EngineWork) -> SignIn | None:
        session = await work.sessions.create(
            user_id=credentials.id, password_hash=credentials.password_hash, token_hash=token.hash,
            token_mac=work.binding.mac(tokens.session_fields(token.hash, credentials.id)),
            ip=attempt.origin.ip, user_agent=attempt.user_agent,
            lifetime=timedelta(seconds=attempt.lifetime),
        )  # fmt: skip
        if session is None:
            return None
        work.actor = Actor(credentials.id, session.id)
        if renewed is not None:
            anew = work.binding.seal_hash(renewed, credentials.id)
            await work.users.set_password(credentials.id, anew, current=credentials.password_hash)
        return SignIn(text, tenant, session, await work.users.find(credentials.id), work)

    return await EngineWork.run(database, open_session, tenant, origin=attempt.origin)


async def _note(database: Database, tenant: TenantId, attempt: SignInAttempt, user_id: UUID | None) -> None:
    """Record a failed sign-in. `user_id` is None if no user has the email address; the number of such records is limited, because
    somebody who makes up addresses could fill the disk.

    Above the limit, the failure is written and then rolled back to a savepoint, so that the request takes the same time.
    """
    is_kept = user_id is not None or await attempt.may_note(tenant)

    async def note(work: EngineWork) -> None:
        with contextlib.suppress(_NotKept):
            async with work.savepoint("note"):
                await work.sign_in_failures.create(
                    email=attempt.email, user_id=user_id, ip=attempt.origin.ip, user_agent=attempt.user_agent,
                    request_id=attempt.origin.request_id,
                )  # fmt: skip
                if not is_kept:
                    raise _NotKept

    await EngineWork.run(database, note, tenant, origin=attempt.origin)
