"""Users: the people of a tenant who sign in."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, NamedTuple
from uuid import UUID

from service.personal.marking import Personal
from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

Role = Literal["owner", "admin", "member", "viewer"]

_NOBODY = UUID(int=0)


class User(Row):
    """A user who is not deleted. The hash of the password is left out."""

    id: UUID
    email: Personal
    display_name: str
    role: Role
    is_active: bool
    created_at: datetime
    updated_at: datetime
    version: int


class UserOutcome(User):
    """A user after an attempt to change them.

    `applied` is false if nothing was changed, because the row's version was not the expected one.
    """

    applied: bool


class Credentials(Row):
    """The fields of a user that sign-in needs. `password_hash` is sealed; `Users.opened` unseals it."""

    id: UUID
    email: Personal
    password_hash: str
    is_active: bool


class KeptHash(NamedTuple):
    """The hash of a password, as stored in the database (`kept`) and unsealed (`opened`).

    `opened` is None if the hash can't be unsealed, because the key that sealed it is missing, or the service did not write it.
    """

    kept: str
    opened: str | None


class StaleUser(Row):
    """The email address and password hash of a user that have to be sealed again, as stored in the database."""

    id: UUID
    version: int
    email: bytes
    password_hash: str


class Users(Repository, aggregate="users"):
    """The tenant's users."""

    def opened(self, credentials: Credentials) -> KeptHash:
        """The hash of a user's password, both as stored and unsealed."""
        kept = credentials.password_hash
        return KeptHash(kept, self._binding.open_hash(kept, credentials.id))

    async def credentials_of(self, email: str) -> Credentials | None:
        """The credentials of the user with this email address, or None.

        The blind index finds the row. Then the sealed address in the row is opened and compared too: somebody who can write
        to the database could copy an index value into another user's row, but not a sealed address, which opens only in its
        own row.
        """
        found = await self.find_credentials(email)
        if found is not None:
            return found if found.email == email else None
        # Open two values, like the address and the hash of a found row. Otherwise a shorter time would reveal that there is no
        # such user.
        for _ in range(2):
            self._binding.open(self._binding.seal(email, "users.email", _NOBODY), "users.email", _NOBODY)
        return None

    @query
    async def create(
        self,
        *,
        id: UUID,
        email: Personal,
        display_name: str,
        password_hash: str,
        role: Role = "member",
        is_active: bool = True,
    ) -> User: ...

    @query
    async def is_known(self, *, email: Personal, ip: IPv4Address | IPv6Address) -> bool: ...

    @query(cached=Cached(row="id"))
    async def find(self, id: UUID) -> User: ...

    @query
    async def lock(self, id: UUID) -> User: ...

    @query
    async def find_credentials(self, email: Personal) -> Credentials | None: ...

    @query
    async def credentials(self, id: UUID) -> Credentials: ...

    @query(cached=Cached())
    async def page(
        self,
        *,
        role: Role | None = None,
        is_active: bool | None = None,
        email: Personal | None = None,
        after_created_at: datetime | None = None,
        after_id: UUID | None = None,
        limit: int = 50,
    ) -> list[User]: ...

    @query
    async def update(
        self,
        id: UUID,
        *,
        version: int | None = None,
        given: list[str],
        email: Personal | None = None,
        display_name: str | None = None,
        role: Role | None = None,
        is_active: bool | None = None,
    ) -> UserOutcome | None: ...

    @query
    async def set_password(self, id: UUID, password_hash: str, *, current: str | None = None) -> int: ...

    @query
    async def remove(self, id: UUID, *, version: int | None = None) -> bool | None: ...

    @query
    async def stale(
        self, prefix: bytes, *, hash_prefix: str, after: UUID | None = None, limit: int
    ) -> list[StaleUser]: ...

    @query
    async def reseal(
        self,
        *,
        ids: list[UUID],
        versions: list[int],
        emails: list[bytes | None],
        email_indexes: list[bytes | None],
        password_hashes: list[str | None],
    ) -> int: ...
