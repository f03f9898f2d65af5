"""Rotation: the tenants' personal data sealed anew, batch by batch, while the service serves.

What is done is not stale any more, so a run that was killed is simply started again. A row that somebody changes meanwhile
keeps their change and is met again in the next pass. What was only waiting to be sealed is sealed by the same code.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

from service.database import Database
from service.errors import Conflict, Contention, Timeout
from service.keyring import SEALED, Keyring, KeyringError, Undecipherable
from service.repos.tenants import Tenant, UnsealedTenant
from service.tenancy.binding import Isolation
from service.tenancy.identity import TenantId
from service.texts import email_address
from service.work import Work, run

_BATCH = 200
_PAGE = 200
_LOOK = 2000
_PASSES = 10
_PROGRESS_SECONDS = 2.0
_BEFORE_ALL = UUID(int=0)
_EVERYTHING = b"\xff"
"""No sealed value begins with it."""
_INDEXED = frozenset({"email", "phone"})

Say = Callable[[str], None]


@dataclass(frozen=True)
class Aggregate:
    """An aggregate that holds personal data, and its columns that do."""

    name: str
    personal: tuple[str, ...]
    has_version: bool = True

    @property
    def isolation(self) -> Isolation:
        """Without a version to compare, the transaction has to fail over a row that was changed since it was read."""
        return "read committed" if self.has_version else "repeatable read"

    def resealed(self, row: Any, keyring: Keyring, tenant: TenantId) -> dict[str, object]:
        """A stale row by the names of `reseal`'s parameters, which take lists. Raises Undecipherable."""
        values: dict[str, object] = {"ids": row.id}
        if self.has_version:
            values["versions"] = row.version
        for column in self.personal:
            value, place = getattr(row, column), f"{self.name}.{column}"
            if value is None:
                values[f"{column}s"] = None
                continue
            values[f"{column}s"], plain = keyring.reseal(value, tenant, place)
            if (spelled := _spelled(column, plain)) != plain:
                plain = spelled
                values[f"{column}s"] = keyring.seal(plain, tenant, place)
            if column in _INDEXED:
                values[f"{column}_indexes"] = keyring.index(plain, tenant, place)
        return values

    def is_spelled_otherwise(self, row: Any, keyring: Keyring, tenant: TenantId) -> bool:
        """Whether an address of the row is not in the spelling in which they are compared. Raises Undecipherable."""
        for column in self.personal:
            if (value := getattr(row, column)) is not None:
                _, plain = keyring.reseal(value, tenant, f"{self.name}.{column}")
                if _spelled(column, plain) != plain:
                    return True
        return False


def _spelled(column: str, plain: str) -> str:
    """An address as it is written by the API now; anything else, and what can't be one, as it is."""
    if not column.endswith("email"):
        return plain
    try:
        return email_address(plain)
    except ValueError:
        return plain


AGGREGATES = (
    Aggregate("users", ("email",)),
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


@dataclass(frozen=True)
class Failure:
    """A row that could not be sealed anew; without an id, an aggregate that did not come to an end."""

    aggregate: str
    tenant: TenantId
    id: UUID | None
    reason: str

    def __str__(self) -> str:
        return f"{self.aggregate}{f' {self.id}' if self.id else ''} of tenant {self.tenant}: {self.reason}"


@dataclass
class Report:
    """What a run has done: rows sealed anew by aggregate, and what could not be."""

    counts: dict[str, int] = field(default_factory=lambda: {each.name: 0 for each in AGGREGATES})
    failures: list[Failure] = field(default_factory=list)

    def __str__(self) -> str:
        return "sealed " + (", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "nothing")

    def lines(self) -> list[str]:
        """What there is to tell where sealing comes along with something else: often nothing."""
        return [*map(str, self.failures), *([str(self)] if any(self.counts.values()) else [])]


async def rotate(app: Database, platform: Database, say: Say, *, batch: int = _BATCH) -> Report:
    """Seal everything with the key that seals now. `app` has the keys; `platform` lists the tenants."""
    rotation = _Rotation(app, say, batch)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, rotation.keyring.prefix)
    return rotation.report


async def normalise(app: Database, platform: Database, say: Say, *, write: bool) -> Report:
    """Bring addresses into the spelling in which they are compared now, sealed and found by it.

    Rows whose address is spelled otherwise are counted, and with `write` changed; where another row has that address already
    they are failures. `app` has the keys; `platform` lists the tenants.
    """
    rotation = _Rotation(app, say, _BATCH, is_spelling=True, write=write)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, _EVERYTHING)
    return rotation.report


async def seal(app: Database, tenants: Iterable[TenantId], say: Say, *, batch: int = _BATCH) -> Report:
    """Seal what waits for it in these tenants; what is sealed already keeps its key. `app` has the keys."""
    rotation = _Rotation(app, say, batch)
    for tenant in tenants:
        await rotation.reseal(tenant, SEALED)
    return rotation.report


async def waiting(app: Database) -> list[TenantId]:
    """The tenants with something that waits to be sealed; one statement for many of them, and no keys."""
    found: list[TenantId] = []
    previous = _BEFORE_ALL

    async def page(work: Work) -> list[UnsealedTenant]:
        return await work.tenants.to_seal(previous, limit=_LOOK)

    while tenants := await run(app, page, None, read_only=True):
        found += [TenantId(each.tenant) for each in tenants if each.waits]
        previous = tenants[-1].tenant
    return found


async def _tenants(platform: Database) -> AsyncIterator[TenantId]:
    last: Tenant | None = None

    async def page(work: Work) -> list[Tenant]:
        return await work.tenants.page(
            after_created_at=last.created_at if last else None, after_id=last.id if last else None, limit=_PAGE
        )

    while tenants := await run(platform, page, None, read_only=True):
        for tenant in tenants:
            yield TenantId(tenant.id)
        last = tenants[-1]


class _Rotation:
    """One run: its keys, its report, and what it tells meanwhile."""

    def __init__(self, app: Database, say: Say, batch: int, *, is_spelling: bool = False, write: bool = True) -> None:
        self.is_spelling, self.write = is_spelling, write
        if app.keyring is None:
            raise KeyringError("sealing needs the keys of personal data")
        self.app = app
        self.keyring = app.keyring
        self.report = Report()
        self._say = say
        self._batch = batch
        self._told = monotonic()

    async def reseal(self, tenant: TenantId, prefix: bytes) -> None:
        """Seal a tenant's values that do not begin with `prefix`, until a whole pass meets none that could be sealed."""
        for aggregate in AGGREGATES:
            if self.is_spelling:
                # What a pass meets is what it tells of; without `write` the next would meet the same.
                _, failures = await self._pass(aggregate, tenant, prefix)
                self.report.failures += failures
                continue
            for _ in range(_PASSES):
                met, failures = await self._pass(aggregate, tenant, prefix)
                if not met:
                    break
            else:
                failures.append(Failure(aggregate.name, tenant, None, "rows are still being written under another key"))
            self.report.failures += failures

    async def _pass(self, aggregate: Aggregate, tenant: TenantId, prefix: bytes) -> tuple[int, list[Failure]]:
        """Walk in id order; answers how many rows it met that could be sealed, and those that could not be."""
        met, failures = 0, list[Failure]()
        after, limit = _BEFORE_ALL, self._batch
        while True:
            step = _Step(
                aggregate, tenant, self.keyring, prefix, after, limit, is_spelling=self.is_spelling, write=self.write
            )
            try:
                written = await run(self.app, step.take, tenant, isolation=aggregate.isolation)
            except (Conflict, Contention, Timeout) as error:
                if not step.rows:
                    raise
                if len(step.rows) > 1:
                    # One row spoils its batch; halving finds it, and the batches grow again behind it.
                    limit = len(step.rows) // 2
                    continue
                failures.append(Failure(aggregate.name, tenant, step.rows[0].id, error.message))
            else:
                met += len(step.sealed)
                failures += step.failures
                self.report.counts[aggregate.name] += written
            if len(step.rows) < limit:
                return met, failures
            after, limit = step.rows[-1].id, min(limit * 2, self._batch)
            self._tell()

    def _tell(self) -> None:
        if monotonic() - self._told > _PROGRESS_SECONDS:
            self._say(f"{self.report} so far")
            self._told = monotonic()


@dataclass
class _Step:
    """One batch in one transaction: what was read, and what became of it."""

    aggregate: Aggregate
    tenant: TenantId
    keyring: Keyring
    prefix: bytes
    after: UUID
    limit: int
    is_spelling: bool = False
    write: bool = True
    rows: list[Any] = field(default_factory=list)
    sealed: list[dict[str, object]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    async def take(self, work: Work) -> int:
        """Read, seal, write; answers the number of rows that were still as they had been read."""
        repository = getattr(work, self.aggregate.name)
        self.sealed, self.failures = [], []
        self.rows = await repository.stale(self.prefix, after=self.after, limit=self.limit)
        for row in self.rows:
            try:
                if self.is_spelling and not self.aggregate.is_spelled_otherwise(row, self.keyring, self.tenant):
                    continue
                self.sealed.append(self.aggregate.resealed(row, self.keyring, self.tenant))
            except Undecipherable as error:
                self.failures.append(Failure(self.aggregate.name, self.tenant, row.id, error.message))
        if not self.sealed or not self.write:
            return len(self.sealed)
        written: int = await repository.reseal(
            **{name: [values[name] for values in self.sealed] for name in self.sealed[0]}
        )
        return written
