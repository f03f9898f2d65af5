"""Rotation: the tenants' personal data sealed again, batch by batch, while the service serves.

Rows that are done are not selected again, so a killed run is simply started again. A row that somebody changes meanwhile
keeps that change and is processed in the next pass. The same code seals plain text, but only when `seal` asks for it: anybody
who can write to the database may have put plain text there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any
from uuid import UUID

from service.database.database import Database
from service.errors import Conflict, Contention, Timeout
from service.operations.sealing import AGGREGATES, ALL, EVERYTHING, TOKENS, UNAUTHENTIC, Aggregate, Selection, Tokens
from service.personal.keyring import SEALED, Keyring, KeyringError
from service.repos.tenants import Tenant, UnsealedTenant
from service.tenancy.identity import TenantId
from service.texts import Say
from service.work import Work

_BATCH = 200
_PAGE = 200
_LOOK = 2000
_PASSES = 10
_PROGRESS_SECONDS = 2.0
_BEFORE_ALL = UUID(int=0)


@dataclass(frozen=True)
class Failure:
    """A row that could not be sealed again; without an id, an aggregate that did not come to an end."""

    aggregate: str
    tenant: TenantId
    id: UUID | None
    reason: str

    def __str__(self) -> str:
        return f"{self.aggregate}{f' {self.id}' if self.id else ''} of tenant {self.tenant}: {self.reason}"


@dataclass
class RotationReport:
    """What a run has done: rows sealed again by aggregate, and what could not be."""

    counts: dict[str, int] = field(default_factory=lambda: {each.name: 0 for each in ALL})
    failures: list[Failure] = field(default_factory=list)
    unauthentic: list[Failure] = field(default_factory=list)
    """Tokens that let nobody in, and are left as they are."""

    def __str__(self) -> str:
        return "sealed " + (", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "nothing")

    def lines(self) -> list[str]:
        """The lines to print when sealing is only a part of the command; often there are none."""
        return [*map(str, self.failures), *([str(self)] if any(self.counts.values()) else [])]


async def rotate(app: Database, platform: Database, say: Say, *, batch: int = _BATCH) -> RotationReport:
    """Seal personal data and password hashes with the key that seals now.

    Tokens without a MAC get one while an earlier release's key is in use; afterwards they are reported. Plain text is
    reported and left. `app` has the keys; `platform` lists the tenants.

    Raises KeyringError for a key of an earlier release in front of one of this.
    """
    rotation = _Rotation(app, say, batch)
    keyring = rotation.keyring
    if keyring.is_step_back:
        raise KeyringError(
            f"the key {keyring.current} is of an earlier release and would bind less than is bound now",
            "put a key of `quarry pii key` in front, whose id begins with row-",
        )
    selection = Selection(keyring.prefix, hashes="reseal")
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, selection)
        if keyring.accepts_earlier_forms:
            await rotation.reseal(tenant, selection, TOKENS)
        else:
            await rotation.note_unauthentic(tenant, selection)
    return rotation.report


async def reindex(
    app: Database, platform: Database, old_keys: Keyring, say: Say, *, batch: int = _BATCH
) -> RotationReport:
    """Recompute all blind indexes and MACs with the index key of `app`; `old_keys` have the old one. No instance may be running.

    A run that was killed is started again. `platform` lists the tenants.
    """
    rotation = _Rotation(app, say, batch)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, Selection(EVERYTHING, old_keys=old_keys), ALL)
    return rotation.report


async def normalise(app: Database, platform: Database, say: Say, *, write: bool) -> RotationReport:
    """Bring addresses into the spelling in which they are compared now, sealed and found by it.

    Rows whose address is spelled otherwise are counted, and with `write` changed; where another row has that address already
    they are failures. `app` has the keys; `platform` lists the tenants.
    """
    rotation = _Rotation(app, say, _BATCH)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, Selection(EVERYTHING, is_spelling=True, write=write))
    return rotation.report


async def seal(
    app: Database, tenants: Iterable[TenantId], say: Say, *, batch: int = _BATCH, passwords: bool = False
) -> RotationReport:
    """Seal plain text that waits for it in these tenants; what is sealed already keeps its key. `app` has the keys.

    For those who know where the plain text comes from; bare hashes of `passwords` are sealed where they know that of them too.
    """
    rotation = _Rotation(app, say, batch)
    for tenant in tenants:
        await rotation.reseal(tenant, Selection(SEALED, plain=True, hashes="seal" if passwords else "ignore"))
    return rotation.report


async def waiting(app: Database) -> list[TenantId]:
    """The tenants with something that waits to be sealed; one statement for many of them, and no keys."""
    found: list[TenantId] = []
    previous = _BEFORE_ALL

    async def page(work: Work) -> list[UnsealedTenant]:
        return await work.tenants.to_seal(previous, limit=_LOOK)

    while tenants := await Work.run(app, page, None, read_only=True):
        found += [TenantId(each.tenant) for each in tenants if each.waits]
        previous = tenants[-1].tenant
    return found


async def _tenants(platform: Database) -> AsyncIterator[TenantId]:
    last: Tenant | None = None

    async def page(work: Work) -> list[Tenant]:
        return await work.tenants.page(
            after_created_at=last.created_at if last else None, after_id=last.id if last else None, limit=_PAGE
        )

    while tenants := await Work.run(platform, page, None, read_only=True):
        for tenant in tenants:
            yield TenantId(tenant.id)
        last = tenants[-1]


class _Rotation:
    """One run: its keys, its report, and what it tells meanwhile."""

    def __init__(self, app: Database, say: Say, batch: int) -> None:
        if app.keyring is None:
            raise KeyringError("sealing needs the keys of personal data")
        self.app = app
        self.keyring = app.keyring
        self.report = RotationReport()
        self._say = say
        self._batch = batch
        self._told = monotonic()

    async def reseal(
        self, tenant: TenantId, selection: Selection, aggregates: Iterable[Aggregate | Tokens] = AGGREGATES
    ) -> None:
        """Seal what is selected of a tenant's values, until a whole pass meets none that could be sealed."""
        for aggregate in aggregates:
            if selection.is_of_all:
                # The next pass would meet the same again.
                _, failures = await self._pass(aggregate, tenant, selection)
                self.report.failures += failures
                continue
            for _ in range(_PASSES):
                met, failures = await self._pass(aggregate, tenant, selection)
                if not met:
                    break
            else:
                failures.append(Failure(aggregate.name, tenant, None, "rows are still being written under another key"))
            self.report.failures += failures

    async def note_unauthentic(self, tenant: TenantId, selection: Selection) -> None:
        """RotationReport the tokens that have no MAC, where those do not count."""
        for each in TOKENS:
            batch = _Batch(each, tenant, self.keyring, selection, None, self._batch)
            while rows := await Work.run(self.app, batch.read, tenant):
                self.report.unauthentic += [Failure(each.name, tenant, row.id, UNAUTHENTIC) for row in rows]
                batch.after = rows[-1].id

    async def _pass(
        self, aggregate: Aggregate | Tokens, tenant: TenantId, selection: Selection
    ) -> tuple[int, list[Failure]]:
        """Walk in id order; returns how many rows it met that could be sealed, and those that could not be."""
        met, failures = 0, list[Failure]()
        after: UUID | None = None
        limit = self._batch
        while True:
            batch = _Batch(aggregate, tenant, self.keyring, selection, after, limit)
            try:
                written = await Work.run(self.app, batch.process, tenant, isolation=aggregate.isolation)
            except (Conflict, Contention, Timeout) as error:
                if not batch.rows:
                    raise
                if len(batch.rows) > 1:
                    # One row spoils its batch; halving finds it, and the batches grow again behind it.
                    limit = len(batch.rows) // 2
                    continue
                failures.append(Failure(aggregate.name, tenant, batch.rows[0].id, error.message))
            else:
                met += len(batch.sealed)
                failures += batch.failures
                self.report.unauthentic += batch.unauthentic
                self.report.counts[aggregate.name] += written
            if len(batch.rows) < limit:
                return met, failures
            after, limit = batch.rows[-1].id, min(limit * 2, self._batch)
            self._tell()

    def _tell(self) -> None:
        if monotonic() - self._told > _PROGRESS_SECONDS:
            self._say(f"{self.report} so far")
            self._told = monotonic()


@dataclass
class _Batch:
    """One batch in one transaction: what was read, and what became of it."""

    aggregate: Aggregate | Tokens
    tenant: TenantId
    keyring: Keyring
    selection: Selection
    after: UUID | None
    limit: int
    rows: list[Any] = field(default_factory=list)
    sealed: list[dict[str, object]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    unauthentic: list[Failure] = field(default_factory=list)

    async def read(self, work: Work) -> list[Any]:
        """The rows to process."""
        return await self.aggregate.stale(work, self.keyring, self.selection, after=self.after, limit=self.limit)

    async def process(self, work: Work) -> int:
        """Read, seal, write; returns the number of rows that were written, or would be."""
        each, keyring, tenant = self.aggregate, self.keyring, self.tenant
        self.sealed, self.failures, self.unauthentic = [], [], []
        self.rows = await self.read(work)
        for row in self.rows:
            lost: list[str] = []
            sealed = each.resealed(row, keyring, tenant, self.selection, lost)
            if sealed is not None:
                self.sealed.append(sealed)
            if lost:
                told = self.unauthentic if isinstance(each, Tokens) else self.failures
                told.append(Failure(each.name, tenant, row.id, "; ".join(lost)))
        if not self.sealed or not self.selection.write:
            return len(self.sealed)
        return await each.reseal(work, {name: [values[name] for values in self.sealed] for name in self.sealed[0]})
