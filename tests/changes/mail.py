"""A consumer that notes what it is told, and what its tests do with it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from arranging.accounts import NewTenant
from service.changes.consumers import Consumer, Consumers
from service.database.database import Database
from service.repos.cursors import ConsumerLag
from service.repos.log import LoggedCommit
from service.work import Work

WEEK = 7 * 86400.0


class Oops(Exception):
    pass


@dataclass
class Mail:
    """A consumer that notes what it is told: `reset`, or the numbers of a page. It does what `doing` says besides."""

    told: list[tuple[UUID, Any]] = field(default_factory=list)
    doing: Any = None
    resetting: Any = None
    at_work: Counter[Any] = field(default_factory=Counter)
    most_at_work: int = 0

    @property
    def consumer(self) -> Consumer:
        return Consumer("mail", self.handle, self.reset)

    async def handle(self, work: Work, commits: Sequence[LoggedCommit]) -> None:
        with self._alone(work):
            self.told.append((work.tenant, [commit.number for commit in commits]))
            if self.doing is not None:
                await self.doing(work, commits)

    async def reset(self, work: Work) -> None:
        with self._alone(work):
            self.told.append((work.tenant, "reset"))
            if self.resetting is not None:
                await self.resetting(work)

    @contextlib.contextmanager
    def _alone(self, work: Work) -> Any:
        self.at_work[work.tenant] += 1
        self.most_at_work = max(self.most_at_work, self.at_work[work.tenant])
        try:
            yield
        finally:
            self.at_work[work.tenant] -= 1

    def of(self, tenant: NewTenant) -> list[Any]:
        """What it was told of one tenant, pages joined."""
        joined: list[Any] = []
        for each, what in self.told:
            if each == tenant.id:
                joined += [what] if what == "reset" else what
        return joined


async def hand_all(running: Consumers, mail: Mail, tenant: NewTenant) -> None:
    """Let it handle whatever there is."""
    while await running.hand_on(mail.consumer, tenant.id):
        pass


async def up_to_date(running: Consumers, mail: Mail, tenant: NewTenant) -> int:
    """Let it handle whatever there is and forget that; answers the number of its place."""
    await hand_all(running, mail, tenant)
    mail.told.clear()
    async with Work(running.database, tenant.id, read_only=True) as work:
        return await work.log.head()


async def lag(database: Database) -> ConsumerLag:
    async with Work(database, None, read_only=True) as work:
        (found,) = await work.cursors.lag()
    return found


def end_pause(superuser: Any) -> None:
    superuser.autocommit = True
    superuser.execute("UPDATE app.cursors SET retry_at = now() - interval '1 second' WHERE retry_at IS NOT NULL")


async def note(work: Work, commits: Sequence[LoggedCommit]) -> None:
    """Write a content for every campaign that was made."""
    for commit in commits:
        for table, operation, row, _ in commit.changes:
            if (table, operation) == ("campaigns", "insert"):
                await work.contents.create(row, kind="reel", title=f"Of {commit.number}")


async def noted(database: Database, tenant: NewTenant) -> tuple[int, int]:
    """How many contents there are, and of how many campaigns."""
    async with Work(database, tenant.id, read_only=True) as work:
        text = "SELECT count(*), count(DISTINCT campaign_id) FROM contents WHERE tenant_id = $1"
        row = await work.connection.fetchrow(text, [tenant.id])
    assert row is not None
    return tuple(row)
