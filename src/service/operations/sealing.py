"""For each aggregate: which columns hold personal data, and how a row's values are sealed again (used by rotation.py)."""

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
"""A prefix that no stored value begins with. A selection with this prefix contains all values."""
UNAUTHENTIC = (
    "It has no MAC of this service's keys, and lets nobody in: somebody has written it by hand, or its key is gone."
)


@dataclass(frozen=True)
class Selection:
    """Which stored values a run rewrites: those that do not begin with `prefix`, such as the prefix of the current key."""

    prefix: bytes
    plain: bool = False
    """Whether plain text is sealed too. If not, each row with plain text is reported as a failure."""
    hashes: Literal["ignore", "reseal", "seal"] = "ignore"
    """`ignore`: password hashes are not changed. `reseal`: sealed hashes without the prefix are sealed again; an unsealed hash
    is a failure, unless hashes of an earlier release are accepted. `seal`: the same, but unsealed hashes are always sealed.
    """
    is_spelling: bool = False
    """Whether only email addresses are rewritten, and only those whose spelling differs from that of `texts.email_address`."""
    write: bool = True
    """Whether the selected rows are written. If not, they are only counted."""
    old_keys: Keyring | None = None
    """The keyring with the old index key: MACs that were made with it are replaced. If None, only missing MACs are added."""

    @property
    def is_of_all(self) -> bool:
        """Whether all values are selected. If so, there is only one pass, because a second would select the same rows again."""
        return self.prefix == EVERYTHING


@dataclass(frozen=True)
class Aggregate:
    """An aggregate with personal data, and the columns that hold the data."""

    name: str
    personal: tuple[str, ...]
    indexed: frozenset[str]
    """The columns that have a blind index."""
    has_version: bool
    has_password: bool

    @classmethod
    def of(cls, name: str, repository: type[Any]) -> Self:
        """The aggregate of a repository. Its columns are derived from the signatures of `stale` and `reseal`."""
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
        """The isolation level for a batch. For rows without a version it is repeatable read: then the write fails if a row was
        changed since it was read.
        """
        return "read committed" if self.has_version else "repeatable read"

    async def stale(
        self, work: Work, keyring: Keyring, selection: Selection, *, after: UUID | None, limit: int
    ) -> list[Any]:
        """The next rows, in id order, that have a selected value."""
        repository = getattr(work, self.name)
        if self.has_password:
            hash_prefix = keyring.hash_prefix(selection.prefix) if selection.hashes != "ignore" else ""
            return list(await repository.stale(selection.prefix, hash_prefix=hash_prefix, after=after, limit=limit))
        return list(await repository.stale(selection.prefix, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, selection: Selection, lost: list[str]
    ) -> dict[str, object] | None:
        """A row's values for the parameters of `reseal`, as `{"ids": …, "emails": …, "email_indexes": …}`.

        None for a parameter means that its column is not changed. Returns None if no column is changed. If a column can't be
        opened, the column and the reason are added to `lost`.
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
        """Write the rows, except for those that were changed since they were read. Returns how many were written."""
        return int(await getattr(work, self.name).reseal(**values))


@dataclass(frozen=True)
class Tokens:
    """An aggregate whose rows have a MAC (sessions, API keys): the column with the MAC, and the fields that it covers."""

    name: str
    column: str
    fields: Callable[[Any], Fields]
    isolation: IsolationLevel = "read committed"

    async def stale(self, work: Work, _: Keyring, selection: Selection, *, after: UUID | None, limit: int) -> list[Any]:
        """The next rows, in id order: those without a MAC or, if the selection has old keys, those with a MAC."""
        has_mac = selection.old_keys is not None
        return list(await getattr(work, self.name).page_macs(has_mac=has_mac, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, selection: Selection, lost: list[str]
    ) -> dict[str, object] | None:
        """A row's values for the parameters of `write_macs`. None if nothing is to be written.

        With old keys, that is so if the MAC was already made with the new key, or with neither key (then `lost` gets a line).
        """
        mac, fields, old = getattr(row, self.column), self.fields(row), selection.old_keys
        if old is not None and not old.verifies(mac, tenant, fields):
            if not keyring.verifies(mac, tenant, fields):
                lost.append(UNAUTHENTIC)
            return None
        return {"ids": row.id, f"{self.column}s": keyring.mac(tenant, fields)}

    async def reseal(self, work: Work, values: dict[str, list[object]]) -> int:
        """Write the MACs; returns the number of rows written."""
        return int(await getattr(work, self.name).write_macs(**values))


def _resealed_hash(row: Any, keyring: Keyring, tenant: TenantId, selection: Selection) -> str | None:
    """A row's password hash, sealed with the current key; None if it is not to be changed. Raises Undecipherable."""
    kept = str(row.password_hash)
    if selection.hashes == "ignore" or kept.startswith(keyring.hash_prefix(selection.prefix)):
        return None
    is_bare = selection.hashes == "seal" and not keyring.is_sealed_hash(kept)
    return keyring.seal_hash(kept if is_bare else keyring.open_hash(kept, tenant, row.id), tenant, row.id)


def _spelled(column: str, plain: str) -> str:
    """An email address in the spelling of `texts.email_address`. Values of other columns and invalid addresses are unchanged."""
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
