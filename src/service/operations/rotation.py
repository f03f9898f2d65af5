"""Rotation: encrypts the tenants' personal data again with the current key, batch by batch, while the service runs.

`rotate` selects only rows that still use another key, so after a killed run it can be called again. If somebody changes a row
while it is being sealed again, the change is kept, and the next pass over the rows seals it. Plain text is encrypted by `seal`
only, because anybody who can write to the database may have put it there.
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
    """A row that could not be sealed again, and the reason. If `id` is None, some rows of the aggregate are concerned."""

    aggregate: str
    tenant: TenantId
    id: UUID | None
    reason: str

    def __str__(self) -> str:
        return f"{self.aggregate}{f' {self.id}' if self.id else ''} of tenant {self.tenant}: {self.reason}"


@dataclass
class RotationReport:
    """The result of a run: for each aggregate the number of rows sealed again (`counts`), and the rows for which this failed."""

    counts: dict[str, int] = field(default_factory=lambda: {each.name: 0 for each in ALL})
    failures: list[Failure] = field(default_factory=list)
    unauthentic: list[Failure] = field(default_factory=list)
    """Sessions and API keys without a valid MAC. The service refuses their tokens; this run does not change their rows."""

    def __str__(self) -> str:
        return "sealed " + (", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "nothing")

    def lines(self) -> list[str]:
        """The lines that a command prints if sealing is only a part of its work: failures, and counts if a row was sealed."""
        return [*map(str, self.failures), *([str(self)] if any(self.counts.values()) else [])]


async def rotate(app: Database, platform: Database, say: Say, *, batch: int = _BATCH) -> RotationReport:
    """Seal personal data and password hashes again with the current key, for all tenants.

    Sessions and API keys without a MAC get one if PII_KEYS has a key of an earlier release; otherwise they are only reported.
    Plain text is reported as a failure, and not changed. `app` connects as the serving role and has the keys. `platform`
    connects as quarry_platform, and is used to list the tenants.

    Raises KeyringError if the current key is of an earlier release although PII_KEYS also has a key of this release.
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
    """Recompute the blind indexes, and the MACs of sessions and API keys, with the new index key, which `app` has.

    `old_keys` contains the index key used so far. All personal values are also sealed again with the current key. No instance
    may be running. If a run was killed, call this again with the same keys. `platform` is used to list the tenants.
    """
    rotation = _Rotation(app, say, batch)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, Selection(EVERYTHING, old_keys=old_keys), ALL)
    return rotation.report


async def normalise(app: Database, platform: Database, say: Say, *, write: bool) -> RotationReport:
    """Count the email addresses that `texts.email_address` spells differently; if `write` is true, correct their spelling.

    This changes the sealed value and the blind index. If a different row already has the corrected address, the row is left as
    it is and reported as a failure. `app` has the keys; `platform` is used to list the tenants.
    """
    rotation = _Rotation(app, say, _BATCH)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, Selection(EVERYTHING, is_spelling=True, write=write))
    return rotation.report


async def seal(
    app: Database, tenants: Iterable[TenantId], say: Say, *, batch: int = _BATCH, passwords: bool = False
) -> RotationReport:
    """Seal those personal data of the given tenants that are plain text. Sealed values are not changed.

    With `passwords`, unsealed password hashes are sealed too. Before the call, it must be certain that the plain text and the
    hashes were not put there by somebody who has no right to. `app` has the keys.
    """
    rotation = _Rotation(app, say, batch)
    for tenant in tenants:
        await rotation.reseal(tenant, Selection(SEALED, plain=True, hashes="seal" if passwords else "ignore"))
    return rotation.report


async def waiting(app: Database) -> list[TenantId]:
    """The tenants that have personal data in plain text. No keys are needed: a value's first byte tells."""
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
    """One run of `rotate`, `reindex`, `normalise` or `seal`: its keys, its report, and the time of its last progress message."""

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
        """Seal a tenant's selected values again, in the given aggregates.

        A pass goes through the selected rows once. Passes are repeated until a pass finds no row to seal, at most _PASSES
        times; rows that are written meanwhile with another key need a further pass.
        """
        for aggregate in aggregates:
            if selection.is_of_all:
                # Make only one pass, because a second one would select all rows again.
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
        """Add the tenant's sessions and API keys without a MAC to the report. For the case that the service refuses such rows."""
        for each in TOKENS:
            batch = _Batch(each, tenant, self.keyring, selection, None, self._batch)
            while rows := await Work.run(self.app, batch.read, tenant):
                self.report.unauthentic += [Failure(each.name, tenant, row.id, UNAUTHENTIC) for row in rows]
                batch.after = rows[-1].id

    async def _pass(
        self, aggregate: Aggregate | Tokens, tenant: TenantId, selection: Selection
    ) -> tuple[int, list[Failure]]:
        """Go through the selected rows once, in id order. Returns the number of rows that had a new value, and the failures."""
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
                    # A single row can make the whole batch fail. Retry with half of the batch, until only that row is left and
                    # is reported. After that, the batches become larger again.
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
    """A batch of rows that are read, sealed again and written in one transaction, and the results.

    The batch has at most `limit` rows, beginning after the id `after`.
    """

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
        """Read the rows of this batch."""
        return await self.aggregate.stale(work, self.keyring, self.selection, after=self.after, limit=self.limit)

    async def process(self, work: Work) -> int:
        """Read the rows of this batch, seal their values again, and write them. Returns the number of rows written.

        If `selection.write` is false, nothing is written. The result is then the number of rows that would be written.
        """
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
