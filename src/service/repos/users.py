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
    """A live user, without the password's hash."""

    id: UUID
    email: Personal
    display_name: str
    role: Role
    is_active: bool
    created_at: datetime
    updated_at: datetime
    version: int


class UserOutcome(User):
    """A user after an attempt to change them; not `applied` when their version was not the expected one."""

    applied: bool


class Credentials(Row):
    """What sign-in needs of a user; `Users.opened` gives the hash to compare with."""

    id: UUID
    email: Personal
    password_hash: str
    is_active: bool


class KeptHash(NamedTuple):
    """The hash of a password as the database keeps it, and opened: None for one that this service did not keep."""

    kept: str
    opened: str | None


class StaleUser(Row):
    """A user whose address or password is to be sealed again, as the database keeps them."""

    id: UUID
    version: int
    email: bytes
    password_hash: str


class Users(Repository, aggregate="users"):
    """The tenant's users."""

    def opened(self, credentials: Credentials) -> KeptHash:
        """The hash of a user's password."""
        kept = credentials.password_hash
        return KeptHash(kept, self._binding.open_hash(kept, credentials.id))

    async def credentials_of(self, email: str) -> Credentials | None:
        """The credentials of the live user whom the index finds by this address, if their sealed address is the same.

        Somebody who writes to the database can copy an index to another's row, but no address.
        """
        found = await self.find_credentials(email)
        if found is not None:
            return found if found.email == email else None
        # As long as for a row whose address and password are opened.
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
