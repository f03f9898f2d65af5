"""This process's knowledge of each tenant's commits: up to which number, and which commit last touched each table and row.

From that alone it is decided whether something read earlier still holds. The relay (changes/relay.py) brings the
knowledge from the log itself, so no cache, no NOTIFY and no other process can make it wrong; without news for a second
nothing holds any more.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import NamedTuple
from uuid import UUID

LEASE = 1.0
"""Seconds after which knowledge that was not confirmed is worth nothing: the most that a cached answer is behind."""
_MOST_ROWS = 2_000
"""Rows of one tenant that are tracked one by one; if there are more, everything read earlier is discarded."""
_FORGET_AFTER, _FORGET_UNBEGUN_AFTER = 300.0, 10.0
"""Seconds without use; fewer if nothing has been learned, as about a tenant that only a forged token names."""

Tag = tuple[str, UUID | None]
"""A table, or one row of it."""
Touched = tuple[str, UUID]


class Stamp(NamedTuple):
    """When something was read: the numbers of its snapshot, and a monotonic time before it (-inf: by another process)."""

    epoch: int
    number: int
    shared: int
    read_at: float


@dataclass(slots=True)
class _Known:
    """One tenant: commits after `start` up to `known` are in `tables` and `rows`."""

    used_at: float
    since: float
    """When this process began to note its own commits. Anything read earlier may lack one."""
    is_begun: bool = False
    start: int = 0
    known: int = 0
    confirmed_at: float = -math.inf
    required: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    rows: dict[Touched, int] = field(default_factory=dict)


class Watermarks:
    """All tenants that this process reads from the cache, or streams to."""

    def __init__(self) -> None:
        self.epoch = 0
        self.news = asyncio.Event()
        """Set when there is something to look at in the log."""
        self._wanted: set[UUID] = set()
        self._tenants: dict[UUID, _Known] = {}
        self._shared = 0
        self._shared_asked_at = -math.inf
        self._shared_doubted_at = -math.inf

    def holds(
        self, tenant: UUID, stamp: Stamp, tags: Sequence[Tag], *, is_shared: bool, at_least: int, now: float
    ) -> bool:
        """Whether nothing that `tags` name was touched since `stamp`, as of a second ago at most.

        `at_least` is a number that must be included, as are all commits of this process itself; `is_shared` says that
        the shared reference data was read too.
        """
        known = self._tenants.get(tenant)
        if known is None or not known.is_begun or stamp.epoch != self.epoch or stamp.number < known.start:
            return False
        needed = max(known.required, at_least)
        if known.known < needed and stamp.number < needed:
            return False
        if max(known.confirmed_at, stamp.read_at) < max(now - LEASE, known.since):
            return False
        if is_shared and not self._shared_holds(stamp, now):
            return False
        for table, row in tags:
            touched = known.tables.get(table, 0) if row is None else known.rows.get((table, row), 0)
            if touched > stamp.number:
                return False
        return True

    def _shared_holds(self, stamp: Stamp, now: float) -> bool:
        latest = max(self._shared_asked_at, stamp.read_at)
        return stamp.shared >= self._shared and latest >= now - LEASE and latest > self._shared_doubted_at

    def place(self, tenant: UUID, *, at_least: int, now: float) -> tuple[int, int] | None:
        """The tenant's and the shared number as of a second ago at most, with `at_least` included; None when unknown."""
        needed = self.needed(tenant, at_least=at_least, now=now)
        return needed if needed is not None and needed[0] == self.known(tenant) else None

    def needed(self, tenant: UUID, *, at_least: int, now: float) -> tuple[int, int] | None:
        """The tenant's and the shared number that a read from a replica must include; None when unknown.

        That is what was there a second ago at most, what this process has committed, and `at_least`.
        """
        known = self._tenants.get(tenant)
        if known is None or known.confirmed_at < known.since:
            return None
        if min(known.confirmed_at, self._shared_asked_at) < now - LEASE:
            return None
        return max(known.known, known.required, at_least), self._shared

    def use(self, tenant: UUID, now: float) -> None:
        """Note that the tenant is read; a new one is followed from now on."""
        known = self._tenants.get(tenant)
        if known is None:
            self._tenants[tenant] = _Known(used_at=now, since=now)
            self.want([tenant])
        else:
            known.used_at = now

    def want(self, tenants: Iterable[UUID]) -> None:
        """These have to be looked at in the log: they are new here, or have commits that are not known yet."""
        self._wanted.update(tenants)
        self.news.set()

    def take_wanted(self) -> set[UUID]:
        """The tenants that have to be looked at, for whoever does so now."""
        wanted, self._wanted = self._wanted, set()
        return wanted

    def learn(self, tenant: UUID, stamp: Stamp) -> bool:
        """Note the numbers that a statement's answer came with; returns whether they are of the current epoch."""
        known = self._tenants.get(tenant)
        if stamp.epoch != self.epoch:
            self.want([tenant])
            return False
        if known is None:
            return True
        if not known.is_begun:
            self.begin(tenant, stamp.number, asked_at=stamp.read_at)
        elif stamp.number > known.known:
            self.want([tenant])
        return True

    def committed(self, tenant: UUID, number: int) -> None:
        """A commit of this process: what was read before it holds only once its changes are known."""
        known = self._tenants.get(tenant)
        if known is not None:
            known.required = max(known.required, number)

    def doubt_shared(self) -> None:
        """The shared data was just written by this process: what was read before holds no more."""
        self._shared_doubted_at = monotonic()
        self._shared_asked_at = -math.inf

    def begin(self, tenant: UUID, head: int, *, asked_at: float) -> None:
        """Know the tenant from `head` on, which was asked for at a monotonic time; all that was known before is given up."""
        known = self._tenants.setdefault(tenant, _Known(used_at=asked_at, since=monotonic()))
        known.is_begun, known.start, known.known, known.confirmed_at = True, head, head, asked_at
        known.tables.clear()
        known.rows.clear()

    def apply(self, tenant: UUID, number: int, touched: Iterable[Touched], *, is_whole: bool) -> None:
        """Add the next commit and the rows that it touched; `is_whole` is false if it touched more than these."""
        known = self._tenants.get(tenant)
        if known is None:
            return
        known.known = number
        for table, row in touched:
            known.tables[table] = number
            known.rows[(table, row)] = number
        if not is_whole or len(known.rows) > _MOST_ROWS:
            known.start = number
            known.tables.clear()
            known.rows.clear()

    def reach_back(self, tenant: UUID, start: int, commits: Iterable[tuple[int, Iterable[Touched]]]) -> None:
        """Add commits after `start` that precede those followed: entries of other processes may be that old."""
        known = self._tenants.get(tenant)
        if known is None or start >= known.start:
            return
        for number, touched in commits:
            for table, row in touched:
                known.tables[table] = max(known.tables.get(table, 0), number)
                known.rows[(table, row)] = max(known.rows.get((table, row), 0), number)
        known.start = start

    def confirm(self, tenant: UUID, head: int, *, asked_at: float) -> bool:
        """Note the tenant's head, asked for at a monotonic time; returns whether every commit up to it is known."""
        known = self._tenants.get(tenant)
        if known is None:
            return True
        if not known.is_begun or head != known.known:
            # A head below what is known is an older answer.
            return known.is_begun and head < known.known
        known.confirmed_at = max(known.confirmed_at, asked_at)
        return True

    def confirm_shared(self, number: int, *, asked_at: float) -> None:
        """The shared number, asked for at a monotonic time."""
        if asked_at > self._shared_doubted_at:
            self._shared = max(self._shared, number)
            self._shared_asked_at = max(self._shared_asked_at, asked_at)

    def enter(self, epoch: int) -> None:
        """Enter a new epoch: discard what was known of the previous one."""
        self.epoch = epoch
        self._shared, self._shared_asked_at = 0, -math.inf
        now = monotonic()
        for known in self._tenants.values():
            # Own commits may belong to either epoch; anything read from now on includes them.
            known.is_begun, known.required, known.confirmed_at, known.since = False, 0, -math.inf, now

    def known(self, tenant: UUID) -> int | None:
        """Up to which number the tenant's commits are known; None when it is not followed yet."""
        known = self._tenants.get(tenant)
        return known.known if known is not None and known.is_begun else None

    def followed(self, now: float) -> list[UUID]:
        """The tenants to follow; those that nobody has read for minutes are forgotten."""
        for tenant, known in list(self._tenants.items()):
            if known.used_at < now - (_FORGET_AFTER if known.is_begun else _FORGET_UNBEGUN_AFTER):
                del self._tenants[tenant]
        return list(self._tenants)
