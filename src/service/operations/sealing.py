"""Says for each aggregate which columns hold personal data or a MAC, and makes their new values. rotation.py uses this."""

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
"""A prefix that no stored value begins with. A Selection with this prefix selects all values."""
UNAUTHENTIC = (
    "It has no MAC of this service's keys, and lets nobody in: somebody has written it by hand, or its key is gone."
)


@dataclass(frozen=True)
class Selection:
    """Says which stored values a run of rotation.py rewrites, and how.

    Values that begin with `prefix` are left as they are. This is, for example, the prefix of values sealed with the current key.
    """

    prefix: bytes
    plain: bool = False
    """Whether plain text is sealed too. If not, each selected row with plain text is reported as a failure."""
    hashes: Literal["ignore", "reseal", "seal"] = "ignore"
    """What is done with password hashes. `ignore`: nothing is changed. `reseal`: a sealed hash without the prefix is sealed
    again; an unsealed hash is sealed if PII_KEYS has a key of an earlier release, and is a failure otherwise. `seal`: the same,
    but an unsealed hash is always sealed.
    """
    is_spelling: bool = False
    """Whether the run corrects spelling: it then rewrites only email addresses that `texts.email_address` spells differently."""
    write: bool = True
    """Whether the rows with new values are written. If not, they are only counted."""
    old_keys: Keyring | None = None
    """The keyring with the old index key, if the index key is being replaced: MACs made with the old key are replaced. If None,
    only missing MACs are added.
    """

    @property
    def is_of_all(self) -> bool:
        """Whether all values are selected. If so, only one pass is made: a second one would select the same rows again."""
        return self.prefix == EVERYTHING


@dataclass(frozen=True)
class Aggregate:
    """An aggregate with personal data. `personal` are the columns with this data.

    `has_version` and `has_password` say whether its rows have a version and a password hash.
    """

    name: str
    personal: tuple[str, ...]
    indexed: frozenset[str]
    """Those of the columns in `personal` that have a blind index."""
    has_version: bool
    has_password: bool

    @classmethod
    def of(cls, name: str, repository: type[Any]) -> Self:
        """Describe the aggregate of a repository. The columns are taken from the signatures of its `stale` and `reseal`."""
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
        """The isolation level of a transaction that reads rows and writes them. Rows without a version need repeatable read, so
        that the write fails if a row was changed since it was read.
        """
        return "read committed" if self.has_version else "repeatable read"

    async def stale(
        self, work: Work, keyring: Keyring, selection: Selection, *, after: UUID | None, limit: int
    ) -> list[Any]:
        """The next rows after the id `after`, in id order, that have at least one selected value; at most `limit` rows."""
        repository = getattr(work, self.name)
        if self.has_password:
            hash_prefix = keyring.hash_prefix(selection.prefix) if selection.hashes != "ignore" else ""
            return list(await repository.stale(selection.prefix, hash_prefix=hash_prefix, after=after, limit=limit))
        return list(await repository.stale(selection.prefix, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, selection: Selection, lost: list[str]
    ) -> dict[str, object] | None:
        """A row's new values, by the parameters of the repository's `reseal`: `{"ids": …, "emails": …, "email_indexes": …}`.

        A value of None leaves the column as it is. Returns None if all columns stay as they are. If a value can't be decrypted,
        its column and the reason are added to `lost`.
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
        """Write new values of rows. Rows with a version are skipped if they were changed since they were read.

        Returns the number of rows written.
        """
        return int(await getattr(work, self.name).reseal(**values))


@dataclass(frozen=True)
class Tokens:
    """An aggregate whose rows have a MAC: sessions or API keys.

    `column` is the column with the MAC. `fields` returns the fields of a row that the MAC is computed from.
    """

    name: str
    column: str
    fields: Callable[[Any], Fields]
    isolation: IsolationLevel = "read committed"

    async def stale(self, work: Work, _: Keyring, selection: Selection, *, after: UUID | None, limit: int) -> list[Any]:
        """The next rows after the id `after`, in id order, at most `limit`: those with a MAC if `selection` has old keys,
        otherwise those without one.
        """
        has_mac = selection.old_keys is not None
        return list(await getattr(work, self.name).page_macs(has_mac=has_mac, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, selection: Selection, lost: list[str]
    ) -> dict[str, object] | None:
        """A row's new MAC, by the parameters of the repository's `write_macs`. None if the stored MAC stays as it is.

        If `selection` has old keys, only a MAC that was made with the old index key is replaced. A MAC that was made with
        neither key is reported in `lost`.
        """
        mac, fields, old = getattr(row, self.column), self.fields(row), selection.old_keys
        if old is not None and not old.verifies(mac, tenant, fields):
            if not keyring.verifies(mac, tenant, fields):
                lost.append(UNAUTHENTIC)
            return None
        return {"ids": row.id, f"{self.column}s": keyring.mac(tenant, fields)}

    async def reseal(self, work: Work, values: dict[str, list[object]]) -> int:
        """Write new MACs of rows. Returns the number of rows written."""
        return int(await getattr(work, self.name).write_macs(**values))


def _resealed_hash(row: Any, keyring: Keyring, tenant: TenantId, selection: Selection) -> str | None:
    """A row's password hash, sealed with the current key; None if the stored one stays as it is. Raises Undecipherable."""
    kept = str(row.password_hash)
    if selection.hashes == "ignore" or kept.startswith(keyring.hash_prefix(selection.prefix)):
        return None
    is_bare = selection.hashes == "seal" and not keyring.is_sealed_hash(kept)
    return keyring.seal_hash(kept if is_bare else keyring.open_hash(kept, tenant, row.id), tenant, row.id)


def _spelled(column: str, plain: str) -> str:
    """The value `plain` of a column. An email address is returned in the spelling of `texts.email_address`, if it is valid."""
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
