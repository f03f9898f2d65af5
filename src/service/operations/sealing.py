"""The columns to seal: which columns of each aggregate hold personal data, and how a row of it is sealed again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self
from uuid import UUID

from service.accounts import tokens
from service.accounts.tokens import Fields
from service.personal.keyring import Keyring, Undecipherable
from service.statements.repository import attached
from service.tenancy.binding import IsolationLevel
from service.tenancy.identity import TenantId
from service.texts import email_address
from service.work import Work

EVERYTHING = b"\xff"
"""A prefix that no stored value begins with, so that a selection by it contains all values."""
UNAUTHENTIC = (
    "It has no MAC of this service's keys, and lets nobody in: somebody has written it by hand, or its key is gone."
)


@dataclass(frozen=True)
class Selection:
    """What a run rewrites: stored values that do not begin with `prefix`."""

    prefix: bytes
    plain: bool = False
    """Whether plain text that waits to be sealed is sealed too. If not, it is a failure."""
    hashes: Literal["ignore", "reseal", "seal"] = "ignore"
    """How password hashes are treated: not at all, sealed ones are sealed again, or (`seal`) bare ones are sealed too."""
    is_spelling: bool = False
    """Whether only those email addresses are rewritten whose spelling is not the one in which addresses are compared now."""
    write: bool = True
    """Whether rows are written. If not, they are only counted."""
    old_keys: Keyring | None = None
    """The keyring with the old index key; MACs of tokens made with it are replaced. If None, tokens without a MAC get one."""

    @property
    def is_of_all(self) -> bool:
        """Whether a second pass would select the rows of the first again, so that there is only one pass."""
        return self.prefix == EVERYTHING


@dataclass(frozen=True)
class Aggregate:
    """An aggregate with personal data, and the columns that hold it."""

    name: str
    personal: tuple[str, ...]
    indexed: frozenset[str]
    """The columns that have a blind index."""
    has_version: bool
    has_password: bool

    @classmethod
    def of(cls, name: str, repository: type[Any]) -> Self:
        """The aggregate that the signatures of the repository's `stale` and `reseal` describe."""
        written = repository.reseal.hints
        kept = repository.stale.model.model_fields
        personal = tuple(each for each in kept if f"{each}s" in written and each not in ("id", "version"))
        return cls(
            name,
            personal,
            frozenset(each for each in personal if f"{each}_indexes" in written),
            has_version="versions" in written,
            has_password="password_hashes" in written,
        )

    @property
    def isolation(self) -> IsolationLevel:
        """A batch's isolation level. Rows without a version need one that makes the batch fail if a row was changed meanwhile."""
        return "read committed" if self.has_version else "repeatable read"

    async def stale(
        self, work: Work, keyring: Keyring, selection: Selection, *, after: UUID | None, limit: int
    ) -> list[Any]:
        """The next rows with a value that the selection contains."""
        repository = getattr(work, self.name)
        if self.has_password:
            hash_prefix = keyring.hash_prefix(selection.prefix) if selection.hashes != "ignore" else ""
            return list(await repository.stale(selection.prefix, hash_prefix=hash_prefix, after=after, limit=limit))
        return list(await repository.stale(selection.prefix, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, selection: Selection, lost: list[str]
    ) -> dict[str, object] | None:
        """A row's parameters for `reseal`, `{"ids": …, "emails": …, "email_indexes": …}`. A value of None is not changed.

        Columns that can't be opened are added to `lost`, with the reason. Returns None if there is nothing to write.
        """
        values: dict[str, object] = {}
        for column in self.personal:
            values |= {f"{column}s": None, **({f"{column}_indexes": None} if column in self.indexed else {})}
            if (value := getattr(row, column)) is None:
                continue
            place = f"{self.name}.{column}"
            try:
                plain = (keyring.open_waiting if selection.plain else keyring.open)(value, tenant, row.id, place)
            except Undecipherable as error:
                lost.append(f"{column}: {error.message}")
                continue
            spelled = _spelled(column, plain)
            if spelled == plain if selection.is_spelling else value.startswith(selection.prefix):
                continue
            values[f"{column}s"] = keyring.seal(spelled, tenant, row.id, place)
            if column in self.indexed:
                values[f"{column}_indexes"] = keyring.index(spelled, tenant, place)
        if self.has_password:
            try:
                values["password_hashes"] = _resealed_hash(row, keyring, tenant, selection)
            except Undecipherable as error:
                values["password_hashes"] = None
                lost.append(f"password_hash: {error.message}")
        if all(value is None for value in values.values()):
            return None
        return {"ids": row.id, **({"versions": row.version} if self.has_version else {}), **values}

    async def reseal(self, work: Work, values: dict[str, list[object]]) -> int:
        """Write the rows that have not changed since they were read. Returns how many were written."""
        return int(await getattr(work, self.name).reseal(**values))


@dataclass(frozen=True)
class Tokens:
    """An aggregate of tokens: the column with their MACs, and the fields from which a MAC is computed."""

    name: str
    column: str
    fields: Callable[[Any], Fields]
    isolation: IsolationLevel = "read committed"

    async def stale(self, work: Work, _: Keyring, selection: Selection, *, after: UUID | None, limit: int) -> list[Any]:
        """The next rows without a MAC or, if the selection has old keys, the next rows with one."""
        has_mac = selection.old_keys is not None
        return list(await getattr(work, self.name).page_macs(has_mac=has_mac, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, selection: Selection, lost: list[str]
    ) -> dict[str, object] | None:
        """A row's parameters for `write_macs`. None if its MAC was made with the new key already, or with neither key."""
        mac, fields, old = getattr(row, self.column), self.fields(row), selection.old_keys
        if old is not None and not old.verifies(mac, tenant, fields):
            if not keyring.verifies(mac, tenant, fields):
                lost.append(UNAUTHENTIC)
            return None
        return {"ids": row.id, f"{self.column}s": keyring.mac(tenant, fields)}

    async def reseal(self, work: Work, values: dict[str, list[object]]) -> int:
        """Write rows; returns how many."""
        return int(await getattr(work, self.name).write_macs(**values))


def _resealed_hash(row: Any, keyring: Keyring, tenant: TenantId, selection: Selection) -> str | None:
    """A password's hash, sealed again. None if it is not to be changed. Raises Undecipherable."""
    kept = str(row.password_hash)
    if selection.hashes == "ignore" or kept.startswith(keyring.hash_prefix(selection.prefix)):
        return None
    is_bare = selection.hashes == "seal" and not keyring.is_sealed_hash(kept)
    return keyring.seal_hash(kept if is_bare else keyring.open_hash(kept, tenant, row.id), tenant, row.id)


def _spelled(column: str, plain: str) -> str:
    """An address in the spelling that the API writes now; other values and invalid addresses unchanged."""
    if not column.endswith("email"):
        return plain
    try:
        return email_address(plain)
    except ValueError:
        return plain


AGGREGATES: Sequence[Aggregate] = tuple(
    Aggregate.of(name, repository) for name, repository in attached(Work).items() if hasattr(repository, "reseal")
)
TOKENS = (
    Tokens("sessions", "token_mac", lambda row: tokens.session_fields(row.token_hash, row.user_id)),
    Tokens("api_keys", "key_mac", lambda row: tokens.key_fields(row.key_hash, row.created_by, row.role)),
)
ALL: Sequence[Aggregate | Tokens] = (*AGGREGATES, *TOKENS)
