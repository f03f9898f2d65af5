"""Rotation: encrypts the tenants' personal data again with the current key, batch by batch, while the service runs.

`rotate` does not select rows that are done, so after a killed run it is simply called again. If a row is changed between its
read and its write, the change is kept, and the next pass processes the row. Only `seal` also encrypts plain text, because
anybody who can write to the database may have put plain text there.
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
    """A row that could not be sealed again. If `id` is None: an aggregate of which some rows were not sealed again."""

    aggregate: str
    tenant: TenantId
    id: UUID | None
    reason: str

    def __str__(self) -> str:
        return f"{self.aggregate}{f' {self.id}' if self.id else ''} of tenant {self.tenant}: {self.reason}"


@dataclass
class RotationReport:
    """The result of a run: the number of rows sealed again by aggregate, and the rows that could not be sealed again."""

    counts: dict[str, int] = field(default_factory=lambda: {each.name: 0 for each in ALL})
    failures: list[Failure] = field(default_factory=list)
    unauthentic: list[Failure] = field(default_factory=list)
    """Sessions and API keys whose tokens the service refuses, because they have no valid MAC. Their rows are not changed."""

    def __str__(self) -> str:
        return "sealed " + (", ".join(f"{count} {name}" for name, count in self.counts.items() if count) or "nothing")

    def lines(self) -> list[str]:
        """The lines for a command that does more than sealing: the failures, and the counts if any row was sealed."""
        return [*map(str, self.failures), *([str(self)] if any(self.counts.values()) else [])]


async def rotate(app: Database, platform: Database, say: Say, *, batch: int = _BATCH) -> RotationReport:
    """Seal personal data and password hashes again with the current key.

    Sessions and API keys without a MAC get one while a key of an earlier release is in PII_KEYS; otherwise they are only
    reported. Plain text is reported and not changed. `app` connects as the serving role and has the keys; `platform`
    connects as quarry_platform, to list the tenants.

    Raises KeyringError if the current key is of an earlier release although PII_KEYS has a key of this release.
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
    """Recompute blind indexes, and the MACs of sessions and API keys, with the index key of `app`.

    `old_keys` contains the index key used so far. All personal values are also sealed again with the current key. No instance
    may be running. If a run was killed, start it again with the same keys. `platform` is used to list the tenants.
    """
    rotation = _Rotation(app, say, batch)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, Selection(EVERYTHING, old_keys=old_keys), ALL)
    return rotation.report


async def normalise(app: Database, platform: Database, say: Say, *, write: bool) -> RotationReport:
    """Find email addresses that are not in the spelling of `texts.email_address`, and change them to it if `write` is true.

    Both the sealed value and the blind index are changed. If another row already has the address in the new spelling, the row
    is reported as a failure. `app` has the keys; `platform` is used to list the tenants.
    """
    rotation = _Rotation(app, say, _BATCH)
    async for tenant in _tenants(platform):
        await rotation.reseal(tenant, Selection(EVERYTHING, is_spelling=True, write=write))
    return rotation.report


async def seal(
    app: Database, tenants: Iterable[TenantId], say: Say, *, batch: int = _BATCH, passwords: bool = False
) -> RotationReport:
    """Seal the personal data of these tenants that is plain text. Values that are sealed already are not changed.

    With `passwords`, password hashes that are not sealed are sealed too. The caller has to make sure that nobody has planted
    the plain text or the hashes. `app` has the keys.
    """
    rotation = _Rotation(app, say, batch)
    for tenant in tenants:
        await rotation.reseal(tenant, Selection(SEALED, plain=True, hashes="seal" if passwords else "ignore"))
    return rotation.report


async def waiting(app: Database) -> list[TenantId]:
    """The tenants that have personal data in plain text. Each statement looks at many tenants; no keys are needed."""
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
    """One run of `rotate`, `reindex`, `normalise` or `seal`: its keys, its report, and when it last printed its progress."""

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
        """Seal a tenant's selected values again. Passes are repeated until one seals no row, at most _PASSES times."""
        for aggregate in aggregates:
            if selection.is_of_all:
                # Only one pass: a second one would select all rows again.
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
        """Add the sessions and API keys without a MAC to the report. Called only if these are not accepted."""
        for each in TOKENS:
            batch = _Batch(each, tenant, self.keyring, selection, None, self._batch)
            while rows := await Work.run(self.app, batch.read, tenant):
                self.report.unauthentic += [Failure(each.name, tenant, row.id, UNAUTHENTIC) for row in rows]
                batch.after = rows[-1].id

    async def _pass(
        self, aggregate: Aggregate | Tokens, tenant: TenantId, selection: Selection
    ) -> tuple[int, list[Failure]]:
        """Go through the selected rows once, in id order. Returns the number of rows that could be sealed, and the failures."""
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
                    # One row makes the whole batch fail. Retry with half of the batch, until only that row is left; then the
                    # batches grow again.
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
    """One batch of rows, processed in one transaction: the rows read, and the results."""

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
        """Read rows, seal them again, and write them. Returns the number of rows written.

        If `selection.write` is false, nothing is written, and the number of rows to write is returned.
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
