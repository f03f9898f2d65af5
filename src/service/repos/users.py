"""Users: the people who sign in to a tenant."""

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
    """A user who is not deleted, without the password hash."""

    id: UUID
    email: Personal
    display_name: str
    role: Role
    is_active: bool
    created_at: datetime
    updated_at: datetime
    version: int


class UserOutcome(User):
    """The result of `Users.update`: the user's row as it is afterwards.

    `applied` is false if the row did not have the given `version`; in this case nothing was changed.
    """

    applied: bool


class Credentials(Row):
    """The fields of a user that sign-in needs. `password_hash` is as stored, usually sealed; `Users.opened` unseals it."""

    id: UUID
    email: Personal
    password_hash: str
    is_active: bool


class KeptHash(NamedTuple):
    """A user's password hash in two forms: as the database stores it (`kept`), and unsealed (`opened`).

    `opened` is None if the stored form can't be unsealed: its key is missing, or somebody else than the service wrote it.
    """

    kept: str
    opened: str | None


class StaleUser(Row):
    """A user whose email address or password hash is to be sealed again: id, version and both values as stored."""

    id: UUID
    version: int
    email: bytes
    password_hash: str


class Users(Repository, aggregate="users"):
    """Statements about the users of the tenant that the transaction is bound to."""

    def opened(self, credentials: Credentials) -> KeptHash:
        """The password hash in `credentials`, as stored and unsealed."""
        kept = credentials.password_hash
        return KeptHash(kept, self._binding.open_hash(kept, credentials.id))

    async def credentials_of(self, email: str) -> Credentials | None:
        """The credentials of the user with this email address, or None if there is no such user.

        The row is found by its blind index. Its sealed address is then decrypted and compared too, because somebody who can
        write to the database could copy an index value into the row of another user. A sealed address can't be copied like
        this, because it can be decrypted only in its own row.
        """
        found = await self.find_credentials(email)
        if found is not None:
            return found if found.email == email else None
        # For an existing user, two values are decrypted: the address and the hash. Decrypt two values here too. Otherwise the
        # shorter time would reveal that there is no such user.
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
