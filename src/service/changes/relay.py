"""The relay: reads the logs of the tenants that this process follows, and updates the watermarks and the rings from them.

A tenant is followed while its data is read or streamed, and for some minutes afterwards. The relay regularly polls the number
of each followed tenant's last commit (the head). A commit of this process, or a hint from another process (listener.py), only
makes the relay read the log sooner: all information comes from the log itself. The relay reads a log in a transaction that is
bound to the tenant, in the order of the numbers, without gaps.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Self
from uuid import UUID

import structlog

from service.cache.watermarks import Watermarks
from service.changes.events import MOST_CHANGES, frame, touched
from service.changes.ring import Ring
from service.database.database import Database
from service.engine import EngineWork
from service.errors import ServiceError
from service.repos.log import LoggedCommit, Page, PolledPlace
from service.tenancy.identity import TenantId

POLL_EVERY = 0.4
"""Seconds between polls. Cached results are valid for watermarks.LEASE after a poll, so this has to be shorter."""
_PATIENCE = 2.0
_PAGE = 500
_MOST_FOLLOWED = 100
"""How many changes of a commit are read if the tenant has no subscribers. A commit with more is treated as if it had changed
every row.
"""
_READERS = 2
_REACH = 500
"""How many older commits are read when the relay begins to follow a tenant, if there is a cache in Redis.

Other processes may already have written entries to Redis. The older commits show whether these entries are still valid.
"""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.relay")


class Relay:
    """Follows the logs of tenants in a background task. Open it with `async with Relay.open(…)`.

    `database` has a small pool that only the relay uses, connected as the serving role. `reaches_back` says whether older
    commits are read too when the relay begins to follow a tenant (see _REACH).
    """

    def __init__(self, database: Database, watermarks: Watermarks, *, reaches_back: bool) -> None:
        self.database, self.watermarks = database, watermarks
        self.rings: dict[TenantId, Ring] = {}
        self.confirmed_at = monotonic()
        """The monotonic time at which the last successful poll began."""
        self._reach = _REACH if reaches_back else 0
        self._numbered: set[UUID] = set()
        self._readers: dict[UUID, asyncio.Task[None]] = {}
        self._again: set[UUID] = set()
        self._slots = asyncio.Semaphore(_READERS)
        self._is_lost = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, database: Database, watermarks: Watermarks, *, reaches_back: bool) -> AsyncIterator[Self]:
        """Start the background task; it is stopped after the block. Raises DatabaseError if the epoch can't be read."""
        relay = cls(database, watermarks, reaches_back=reaches_back)
        watermarks.enter(await EngineWork.run(database, lambda work: work.installation.enter_epoch(), None))
        task = asyncio.create_task(relay._go_on(), name="relay")
        try:
            yield relay
        finally:
            tasks = [task, *relay._readers.values()]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def hint(self, tenant: UUID) -> None:
        """Poll the tenant soon, because another process says that it has new commits. A wrong hint only costs a poll."""
        self.watermarks.want([tenant])

    def hint_all(self) -> None:
        """Poll all followed tenants soon, because hints about their commits may have been missed."""
        self.watermarks.want(self.watermarks.followed(monotonic()))

    def committed(self, tenant: UUID, number: int) -> None:
        """Note a commit that this process has made. If its tenant is followed, the relay reads the commit from the log soon."""
        self.watermarks.committed(tenant, number)
        if self.watermarks.known(tenant) is not None:
            self._numbered.add(tenant)
            self.watermarks.news.set()

    @contextlib.asynccontextmanager
    async def ring(self, tenant: TenantId) -> AsyncIterator[Ring]:
        """The tenant's ring, which has its latest commits and is updated during the block.

        Raises TimeoutError if the tenant's head can't be read from the log within a few seconds.
        """
        self.watermarks.use(tenant, monotonic())
        async with asyncio.timeout(2 * _PATIENCE):
            while (head := self.watermarks.known(tenant)) is None:
                self.hint(tenant)
                await asyncio.sleep(0.01)
        ring = self.rings.get(tenant)
        if ring is None:
            ring = self.rings[tenant] = Ring(self.watermarks.epoch, head)
        ring.subscribers += 1
        try:
            yield ring
        finally:
            ring.subscribers -= 1
            if not ring.subscribers and self.rings.get(tenant) is ring:
                del self.rings[tenant]

    async def _go_on(self) -> None:
        due = monotonic()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(due - monotonic(), 0)):
                    await self.watermarks.news.wait()
            self.watermarks.news.clear()
            is_due = monotonic() >= due
            if is_due:
                due = monotonic() + POLL_EVERY * random.uniform(0.8, 1.2)
            try:
                await self._look(everywhere=is_due)
            except Exception:
                # Go on, because nothing restarts this task. Without it no cached result is valid, and streams get no commits.
                log.exception("relay_failed")

    async def _look(self, *, everywhere: bool) -> None:
        """Begin to read the commits that this process has made, then poll for commits of other processes.

        With `everywhere`, all followed tenants are polled. Otherwise only those are polled for which there was a hint, or whose
        head is not known yet.
        """
        wanted = self.watermarks.take_wanted()
        numbered, self._numbered = self._numbered, set()
        for tenant in numbered:
            self._read_on(tenant)
        now = monotonic()
        for ring_of in self.rings:
            self.watermarks.use(ring_of, now)
        followed = self.watermarks.followed(now)
        if asked := followed if everywhere else list(wanted.intersection(followed)):
            await self._poll(asked)

    async def _poll(self, tenants: list[UUID]) -> None:
        asked_at = monotonic()
        try:
            async with asyncio.timeout(_PATIENCE):
                places = await EngineWork.run(
                    self.database,
                    lambda work: self._places(work, tenants),
                    None,
                    attempts=1,
                    # Behind a pooler, this process does not notice that the server was replaced. So poll in a transaction that
                    # may write: it begins with pool.GREETING, a statement that raises the epoch if the server is a new one.
                    read_only=not self._is_lost and not self.database.pool.greets_transactions,
                )
        except (ServiceError, TimeoutError) as error:
            if not self._is_lost:
                self._is_lost = True
                log.warning("log_lost", reason=str(error) or type(error).__name__)
            # The next poll tries again. Pause before it; otherwise many hints would cause many attempts in quick succession.
            await asyncio.sleep(POLL_EVERY / 4)
            return
        if self._is_lost:
            self._is_lost = False
            log.info("log_recovered")
        self.confirmed_at = asked_at
        self._take_places(places, asked_at)

    async def _places(self, work: EngineWork, tenants: list[UUID]) -> list[PolledPlace]:
        if self._is_lost:
            # The server may have been replaced while it could not be reached. In this case the call raises the epoch.
            await work.installation.enter_epoch()
        return await work.log.poll(tenants)

    def _take_places(self, places: Sequence[PolledPlace], asked_at: float) -> None:
        epoch = places[0].epoch
        if epoch != self.watermarks.epoch:
            if epoch < self.watermarks.epoch:
                # This result is out of date: it was read before the epoch was raised. Ignore it.
                return
            log.warning("epoch_raised", epoch=epoch)
            self.watermarks.enter(epoch)
        self.watermarks.confirm_shared(places[0].shared_number, asked_at=asked_at)
        for place in places:
            if place.tenant is None or place.head is None or place.floor is None:
                continue
            known = self.watermarks.known(place.tenant)
            if known is not None and known < place.floor:
                log.warning("log_pruned", tenant=str(place.tenant), known=known, floor=place.floor)
                known = None
            if known is None:
                self._begin(TenantId(place.tenant), place.head, place.floor, asked_at)
            elif not self.watermarks.confirm(place.tenant, place.head, asked_at=asked_at):
                self._read_on(place.tenant)

    def _begin(self, tenant: TenantId, head: int, floor: int, asked_at: float) -> None:
        self.watermarks.begin(tenant, head, asked_at=asked_at)
        if (ring := self.rings.get(tenant)) is not None:
            ring.restart(self.watermarks.epoch, head)
        if self._reach and head > floor:
            self._read_on(tenant, back_from=max(floor, head - self._reach))

    def _read_on(self, tenant: UUID, *, back_from: int | None = None) -> None:
        if tenant in self._readers:
            self._again.add(tenant)
            return
        task = asyncio.create_task(self._read(TenantId(tenant), back_from), name=f"relay {tenant}")
        self._readers[tenant] = task
        task.add_done_callback(lambda _: self._readers.pop(tenant, None))

    async def _read(self, tenant: TenantId, back_from: int | None) -> None:
        try:
            async with self._slots:
                if back_from is not None:
                    await self._reach_back(tenant, back_from)
                while await self._read_page(tenant):
                    pass
        except (ServiceError, TimeoutError) as error:
            log.info("log_unread", tenant=str(tenant), reason=str(error) or type(error).__name__)
        except Exception:
            # Only log the error: the next poll finds that commits are missing, and makes the relay read the log again.
            log.exception("log_unread", tenant=str(tenant))

    async def _read_page(self, tenant: TenantId) -> bool:
        """Read the next commits of a tenant, and add them to the watermarks and to the tenant's ring.

        Returns whether the log may contain further commits.
        """
        self._again.discard(tenant)
        epoch, known = self.watermarks.epoch, self.watermarks.known(tenant)
        if known is None:
            return False
        ring = self.rings.get(tenant)
        asked_at = monotonic()
        commits, more = await self._commits(tenant, known, most=_MOST_FOLLOWED if ring is None else MOST_CHANGES)
        if (self.watermarks.epoch, self.watermarks.known(tenant)) != (epoch, known):
            return True
        if commits and commits[0].number != known + 1:
            log.warning("log_pruned", tenant=str(tenant), known=known, next=commits[0].number)
            self.watermarks.begin(tenant, commits[0].number - 1, asked_at=asked_at)
            if ring is not None:
                ring.restart(epoch, commits[0].number - 1)
            return True
        for commit in commits:
            self.watermarks.apply(tenant, commit.number, touched(commit), is_whole=commit.is_whole)
        if (ring := self.rings.get(tenant)) is not None and commits:
            self._append(ring, epoch, known, commits)
        if more:
            return True
        if commits:
            # Not for an empty page: all commits that it would contain may have been pruned. The next poll finds that out.
            self.watermarks.confirm(tenant, known + len(commits), asked_at=asked_at)
        return tenant in self._again

    def _append(self, ring: Ring, epoch: int, known: int, commits: Sequence[LoggedCommit]) -> None:
        if (ring.epoch, ring.head) != (epoch, known) or not all(commit.is_whole for commit in commits):
            # The ring was created while these commits were read, or not all changes of a commit were read. So these commits
            # can't be appended. Restart the ring after them; the subscriptions read them from the log.
            ring.restart(epoch, commits[-1].number)
            return
        ring.append([frame(epoch, commit) for commit in commits])

    async def _reach_back(self, tenant: TenantId, start: int) -> None:
        head = self.watermarks.known(tenant)
        if head is None:
            return
        page = await self._commits(tenant, start, most=_MOST_FOLLOWED)
        commits = [each for each in page.commits if each.number <= head]
        if len(commits) < head - start:
            return
        whole: list[LoggedCommit] = []
        for commit in reversed(commits):
            if not commit.is_whole:
                start = commit.number
                break
            whole.append(commit)
        self.watermarks.reach_back(tenant, start, [(each.number, touched(each)) for each in whole])

    async def _commits(self, tenant: TenantId, after: int, *, most: int) -> Page:
        async with asyncio.timeout(_PATIENCE * 5):
            return await EngineWork.run(
                self.database,
                lambda work: work.log.read_on(after, most=most, limit=_PAGE),
                tenant,
                attempts=1,
                read_only=True,
            )
