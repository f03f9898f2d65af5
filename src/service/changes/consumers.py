"""Consumers: functions that are called with the commits of every tenant, in order, with each commit at least once.

A row of app.cursors stores how far a consumer has read a tenant's log. A process locks this row, calls the consumer's `handle`
with the next commits, and updates the row in the same transaction. What `handle` writes in this transaction takes effect
exactly once. Its other effects, such as requests to other services, may happen more than once.

If a consumer can't get some commits, its function `reset` is called instead. This happens if the consumer is new to the
tenant, if commits that it has not read were pruned, if its cursor belongs to another epoch, or if it is too far behind. As an
exception, a new consumer gets no reset but all commits, if the tenant's log began after this process started its consumers.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Self
from uuid import UUID

import structlog

from service import extensions
from service.changes.events import MOST_CHANGES
from service.database.database import Database
from service.engine import EngineWork
from service.errors import (
    CommitUnknown,
    Contention,
    OperatorError,
    ReadOnly,
    ServiceError,
    StalePlan,
    Timeout,
    Unavailable,
)
from service.metrics import CONSUMED, CONSUMER_FAILURES, CONSUMER_RESETS
from service.positions import Position
from service.repos.cursors import NO_EPOCH
from service.repos.log import LoggedCommit
from service.settings.settings import Settings
from service.tenancy.identity import TenantId

_PAGE = 100
_EVERY = 0.5
"""Seconds between two rounds. A round looks for tenants that are known to have new commits, and hands these to the consumer."""
_SWEEP_EVERY = 10.0
"""Seconds between two searches for tenants with commits that the consumer has not handled, such as commits of other processes."""
_MOST_TENANTS = 500
_AT_ONCE = 2
_PATIENCE = 30.0
"""Seconds that a call of `handle` or `reset` may take. A call that takes longer is cancelled, and counts as failed."""
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_OF_THE_DATABASE = (CommitUnknown, Contention, ReadOnly, StalePlan, Timeout, Unavailable)
"""Errors of the database. If one occurs after `handle` or `reset` has returned, as at COMMIT, the consumer has not failed."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.consumers")


async def _nothing(_: object) -> None:
    """The default of `Consumer.reset`: does nothing, for a consumer without state that it would have to rebuild."""


@dataclass(frozen=True)
class Consumer:
    """A consumer: its name, and the functions that are called for the commits of every tenant.

    `work` is a transaction that is bound to a tenant. `handle(work, commits)` is called with the tenant's next commits. If
    commits are skipped, because they are not available any more or too old, `reset(work)` is called first. Both functions may
    write with `work`. If one of them raises, it is called again after a pause; `handle` then gets the same commits again, and
    perhaps further ones.
    """

    name: str
    handle: Callable[[Any, Sequence[LoggedCommit]], Awaitable[None]]
    reset: Callable[[Any], Awaitable[None]] = _nothing


class Consumers:
    """Runs the consumers: for each, a task that calls its `handle` and `reset`. Open it with `async with Consumers.open(…)`."""

    def __init__(
        self,
        database: Database,
        consumers: Sequence[Consumer],
        max_age: float,
        since: datetime,
        kind: type[EngineWork] = EngineWork,
    ) -> None:
        """`since`: when the consumers are started, by the database's clock. `kind`: the class of `work` in their calls."""
        self.database = replace(database, on_numbered=self._numbered)
        """A copy of the given database. A commit that is made with this copy is noted, and handed to the consumers soon."""
        self._pass_on = database.on_numbered
        self._kind = kind
        self._max_age = timedelta(seconds=max_age)
        self._since = since
        self._pending: dict[str, set[UUID]] = {consumer.name: set() for consumer in consumers}

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        database: Database,
        consumers: Sequence[Consumer],
        max_age: float,
        kind: type[EngineWork] = EngineWork,
    ) -> AsyncIterator[Self]:
        """Start the consumers; they are stopped after the block. Raises OperatorError for invalid or duplicate names.

        If a consumer's next commit is more than `max_age` seconds old, the consumer gets a reset instead of the commits that
        it has not handled.
        """
        require_names(consumers)
        since = await EngineWork.run(database, lambda work: work.server.now(), None, read_only=True)
        running = cls(database, consumers, max_age, since, kind)
        tasks = [asyncio.create_task(running._go_on(each), name=f"consumer {each.name}") for each in consumers]
        try:
            yield running
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def committed(self, tenant: UUID) -> None:
        """Note that a tenant has new commits, so that every consumer gets them in its next round."""
        for pending in self._pending.values():
            pending.add(tenant)

    def _numbered(self, tenant: UUID, number: int) -> None:
        """Note a commit. This is called after each commit made with `self.database`, by a request or by a consumer."""
        self._pass_on(tenant, number)
        self.committed(tenant)

    async def _go_on(self, consumer: Consumer) -> None:
        swept_at = -_SWEEP_EVERY
        slots = asyncio.Semaphore(_AT_ONCE)
        at_work: set[UUID] = set()

        async def hand_all(tenant: UUID) -> None:
            try:
                async with slots:
                    with _survived(consumer):
                        while await self.hand_on(consumer, TenantId(tenant)):
                            pass
            finally:
                at_work.discard(tenant)

        async with asyncio.TaskGroup() as tasks:
            while True:
                tenants, self._pending[consumer.name] = self._pending[consumer.name], set()
                if monotonic() - swept_at >= _SWEEP_EVERY:
                    swept_at = monotonic()
                    with _survived(consumer):
                        tenants |= await self._waiting(consumer)
                # If the commits of a tenant are still being handled, do not wait for this: look at the tenant in the next round.
                self._pending[consumer.name] |= tenants & at_work
                for tenant in tenants - at_work:
                    at_work.add(tenant)
                    tasks.create_task(hand_all(tenant), name=f"consumer {consumer.name} {tenant}")
                await asyncio.sleep(_EVERY * random.uniform(0.8, 1.2))

    async def _waiting(self, consumer: Consumer) -> set[UUID]:
        rows = await EngineWork.run(
            self.database, lambda work: work.cursors.waiting(consumer.name, _MOST_TENANTS), None, read_only=True
        )
        return {row.tenant for row in rows}

    async def hand_on(self, consumer: Consumer, tenant: TenantId) -> bool:
        """Hand the tenant's next commits to the consumer; returns whether the log may contain further ones.

        If `handle` or `reset` raises, the error is logged, and the consumer gets no commits of this tenant for a while. Errors
        at other times, such as a DatabaseError at COMMIT, are raised.
        """
        handled = _Handled()
        try:
            more = await self._kind.run(
                self.database, lambda work: self._step(consumer, work, handled), tenant, attempts=1
            )
        except Exception as error:
            if not handled.has_begun or (isinstance(error, _OF_THE_DATABASE) and not handled.has_failed):
                # Either the consumer was not called, or the database has failed: this does not count as the consumer's failure.
                raise
            CONSUMER_FAILURES.labels(consumer=consumer.name).inc()
            log.exception("consumer_failed", consumer=consumer.name, tenant=str(tenant), failures=handled.failures + 1)
            pause = min(_FIRST_PAUSE * 2 ** min(handled.failures, 20), _LONGEST_PAUSE) * random.uniform(0.5, 1.0)
            await EngineWork.run(
                self.database, lambda work: work.cursors.fail(consumer.name, pause=timedelta(seconds=pause)), tenant
            )
            return False
        CONSUMED.labels(consumer=consumer.name).inc(handled.commits)
        return more

    async def _step(self, consumer: Consumer, work: EngineWork, handled: _Handled) -> bool:
        cursor = await work.cursors.take(consumer.name)
        if cursor is None:
            # Either there is no cursor yet, or another process has locked it, or the consumer pauses after a failure. In the
            # first case `open` creates the cursor and returns 1; in the other two it does nothing and returns 0.
            return bool(await work.cursors.open(consumer.name))
        handled.failures = cursor.failures
        place = await work.log.place()
        lost = place.loss_after(Position(cursor.epoch, cursor.number)) is not None
        if cursor.epoch == NO_EPOCH and place.floor == 0 and await self._is_older_than_all(work):
            await work.cursors.move(consumer.name, epoch=place.epoch, number=0)
            return True
        if lost or cursor.cut_off_at is not None:
            CONSUMER_RESETS.labels(consumer=consumer.name, reason="lost" if lost else "cut_off").inc()
            await handled.by(consumer.reset(work))
            await work.cursors.move(consumer.name, epoch=place.epoch, number=place.head)
            return True
        page = await work.log.read_on(cursor.number, most=MOST_CHANGES, limit=_PAGE)
        if not page.commits:
            return False
        if page.commits[0].number != cursor.number + 1:
            # Commits were pruned after `place` was read. The next call reads the new floor, and therefore resets the consumer.
            return True
        if await work.server.now() - page.commits[0].at > self._max_age:
            log.error("consumer_cut_off", consumer=consumer.name, tenant=str(work.tenant), since=page.commits[0].at)
            await work.cursors.cut_off(consumer.name)
            return True
        await handled.by(consumer.handle(work, page.commits))
        await work.cursors.move(consumer.name, epoch=place.epoch, number=page.commits[-1].number)
        handled.commits = len(page.commits)
        return page.more

    async def _is_older_than_all(self, work: EngineWork) -> bool:
        """Whether the consumers were started before the tenant's first commit was made. False if the log has no commit."""
        first = await work.log.read_on(0, most=1, limit=1)
        return bool(first.commits) and first.commits[0].at >= self._since


@contextlib.contextmanager
def _survived(consumer: Consumer) -> Iterator[None]:
    """Log an exception of the block instead of raising it, because it would end the consumer's task, which nothing restarts.

    A later round does the work of the block again.
    """
    try:
        yield
    except ServiceError as error:
        log.info("consumer_waits", consumer=consumer.name, reason=error.code)
    except Exception:
        # Go on even after an unexpected error: it must not end the task of the consumer.
        log.exception("consumer_waits", consumer=consumer.name)


@dataclass
class _Handled:
    """What is known about one call of `handle` or `reset`: whether it has begun, whether it has failed, and its commits.

    `failures` is how many times in a row the consumer had failed for this tenant before the call. `commits` is the number of
    commits that the call has handled.
    """

    has_begun: bool = False
    has_failed: bool = False
    failures: int = 0
    commits: int = 0

    async def by(self, handling: Awaitable[None]) -> None:
        self.has_begun = True
        try:
            async with asyncio.timeout(_PATIENCE):
                await handling
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            self.has_failed = True
            raise RuntimeError("something that it waited for was cancelled") from error
        except Exception:
            self.has_failed = True
            raise


def require_names(consumers: Sequence[Consumer]) -> None:
    """Raise OperatorError if a consumer's name is invalid, or if two consumers have the same name."""
    for each in consumers:
        if not _NAME.match(each.name):
            raise OperatorError(f"{each.name!r} is not a valid consumer name", "use a-z, 0-9 and _, at most 63 of them")
    if len({each.name for each in consumers}) != len(consumers):
        raise OperatorError("two consumers have one name", "a name is a consumer's place in the log")


def configured(settings: Settings) -> Sequence[Consumer]:
    """The consumers that the operator has added; none if the setting CONSUMERS is not set.

    The setting names a function, as `module:name`. It is called with the settings, and returns the consumers. Raises
    OperatorError if the function can't be loaded or fails.
    """
    if settings.consumers is None:
        return ()
    made: tuple[Consumer, ...] = extensions.load(settings, "consumers", Consumer, many=True)
    return made
