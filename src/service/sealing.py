"""What there is to seal: the columns of personal data by aggregate, and how a row of each is sealed anew."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from service import tokens
from service.keyring import Keyring, Undecipherable
from service.tenancy.binding import Isolation
from service.tenancy.identity import TenantId
from service.texts import email_address
from service.tokens import Facts
from service.work import Work

EVERYTHING = b"\xff"
"""A prefix that takes every value: none begins with it."""
_INDEXED = frozenset({"email", "phone"})


@dataclass(frozen=True)
class Take:
    """What a run takes: values that do not begin with `prefix`, plain ones too if `plain`; and the hashes of passwords.

    These are kept as they are, opened and sealed anew, or taken even where they are bare.
    """

    prefix: bytes
    plain: bool = False
    hashes: Literal["kept", "opened", "taken"] = "kept"
    is_spelling: bool = False
    """Only rows that are spelled otherwise."""
    write: bool = True
    former: Keyring | None = None
    """The keys with the index key of before, of which the MACs of tokens still are."""

    @property
    def is_of_all(self) -> bool:
        """Whether it takes what it has written again, so that one pass has to do."""
        return self.prefix == EVERYTHING


SPELLING = Take(EVERYTHING, is_spelling=True)


@dataclass(frozen=True)
class Aggregate:
    """An aggregate that holds personal data, and its columns that do."""

    name: str
    personal: tuple[str, ...]
    has_version: bool = True
    has_password: bool = False

    @property
    def isolation(self) -> Isolation:
        """Of a batch. Without a version to compare, the transaction has to fail when a row was changed since it was read."""
        return "read committed" if self.has_version else "repeatable read"

    async def stale(self, work: Work, keyring: Keyring, take: Take, *, after: UUID | None, limit: int) -> list[Any]:
        """The next rows of which something does not begin with the prefix."""
        repository = getattr(work, self.name)
        if self.has_password:
            hash_prefix = keyring.hash_prefix(take.prefix) if take.hashes != "kept" else ""
            return list(await repository.stale(take.prefix, hash_prefix=hash_prefix, after=after, limit=limit))
        return list(await repository.stale(take.prefix, after=after, limit=limit))

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, take: Take, lost: list[str]
    ) -> dict[str, object] | None:
        """A stale row by the names of `reseal`'s parameters, which take lists; a value of None is left as it is.

        Columns that can't be opened are added to `lost`, with the reason. None when there is nothing else to do.
        """
        values: dict[str, object] = {}
        for column in self.personal:
            values |= {f"{column}s": None, **({f"{column}_indexes": None} if column in _INDEXED else {})}
            place = f"{self.name}.{column}"
            try:
                plain = self._plain(row, column, keyring, tenant, take)
            except Undecipherable as error:
                lost.append(f"{column}: {error.message}")
                continue
            if plain is None or getattr(row, column).startswith(take.prefix):
                continue
            plain = _spelled(column, plain)
            values[f"{column}s"] = keyring.seal(plain, tenant, row.id, place)
            if column in _INDEXED:
                values[f"{column}_indexes"] = keyring.index(plain, tenant, place)
        if self.has_password:
            try:
                values["password_hashes"] = _resealed_hash(row, keyring, tenant, take)
            except Undecipherable as error:
                values["password_hashes"] = None
                lost.append(f"password_hash: {error.message}")
        if all(value is None for value in values.values()):
            return None
        return {"ids": row.id, **({"versions": row.version} if self.has_version else {}), **values}

    async def reseal(self, work: Work, values: dict[str, list[object]]) -> int:
        """Write rows that are still as they were read; answers how many."""
        return int(await getattr(work, self.name).reseal(**values))

    def is_spelled_otherwise(self, row: Any, keyring: Keyring, tenant: TenantId) -> bool:
        """Whether an address of the row is not in the spelling in which they are compared. Raises Undecipherable."""
        plain = ((column, self._plain(row, column, keyring, tenant, SPELLING)) for column in self.personal)
        return any(text is not None and _spelled(column, text) != text for column, text in plain)

    def _plain(self, row: Any, column: str, keyring: Keyring, tenant: TenantId, take: Take) -> str | None:
        if (value := getattr(row, column)) is None:
            return None
        read = keyring.open_waiting if take.plain else keyring.open
        return read(value, tenant, row.id, f"{self.name}.{column}")


@dataclass(frozen=True)
class Tokens:
    """An aggregate of tokens: the column of their MACs, and what a MAC is of."""

    name: str
    column: str
    facts: Callable[[Any], Facts]
    isolation: Isolation = "read committed"

    async def stale(self, work: Work, _: Keyring, take: Take, *, after: UUID | None, limit: int) -> list[Any]:
        """The next rows without a MAC; with another index key before, those with one."""
        rows = getattr(work, self.name).tokens(authenticated=take.former is not None, after=after, limit=limit)
        return list(await rows)

    def resealed(
        self, row: Any, keyring: Keyring, tenant: TenantId, take: Take, _: list[str]
    ) -> dict[str, object] | None:
        """A row by the names of `authenticate_tokens`' parameters."""
        mac, facts = getattr(row, self.column), self.facts(row)
        # What the former key does not verify, a run that was killed has done; or somebody wrote it, and it lets nobody in.
        if take.former is None or take.former.verifies(mac, tenant, facts):
            mac = keyring.mac(tenant, facts)
        return {"ids": row.id, f"{self.column}s": mac}

    def is_spelled_otherwise(self, _: Any, __: Keyring, ___: TenantId) -> bool:
        """A hash has one spelling."""
        return False

    async def reseal(self, work: Work, values: dict[str, list[object]]) -> int:
        """Write rows; answers how many."""
        return int(await getattr(work, self.name).authenticate_tokens(**values))


def _resealed_hash(row: Any, keyring: Keyring, tenant: TenantId, take: Take) -> str | None:
    """A password's hash sealed anew; None where it is left as it is. Raises Undecipherable."""
    kept = str(row.password_hash)
    if take.hashes == "kept" or kept.startswith(keyring.hash_prefix(take.prefix)):
        return None
    is_taken = take.hashes == "taken" and not keyring.is_sealed_hash(kept)
    return keyring.seal_hash(kept if is_taken else keyring.open_hash(kept, tenant, row.id), tenant, row.id)


def _spelled(column: str, plain: str) -> str:
    """An address as it is written by the API now; anything else, and what can't be one, as it is."""
    if not column.endswith("email"):
        return plain
    try:
        return email_address(plain)
    except ValueError:
        return plain


AGGREGATES = (
    Aggregate("users", ("email",), has_password=True),
    Aggregate("influencers", ("email", "phone")),
    Aggregate(
        "brands",
        (
            "email", "phone", "brand_email", "poc_email", "poc_contact_number", "incorporation_document", "gst_document",
            "pan_document",
        ),
    ),
    Aggregate("idempotency_keys", ("answer",), has_version=False),
)  # fmt: skip
TOKENS = (
    Tokens("sessions", "token_mac", lambda row: tokens.session_facts(row.token_hash, row.user_id)),
    Tokens("api_keys", "key_mac", lambda row: tokens.key_facts(row.key_hash, row.created_by, row.role)),
)
