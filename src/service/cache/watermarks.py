"""This process's knowledge of each tenant's commits: up to which number, and which commit last touched each table and row.

This knowledge alone decides whether a result that was read earlier is still valid. The relay (changes/relay.py) reads it from the
log itself, so no cache, no NOTIFY and no other process can make it wrong. Several times a second the relay checks, and confirms,
that no commit is missing. If the last confirmation is more than a second old, no cached result is valid.
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
"""For how many seconds knowledge of the log can be relied on after it was confirmed. A cached result is at most this old."""
_MOST_ROWS = 2_000
"""How many changed rows of one tenant are remembered. If there are more, all results read earlier become invalid."""
_FORGET_AFTER, _FORGET_UNBEGUN_AFTER = 300.0, 10.0
"""Seconds without use after which a tenant is forgotten. The second value is for a tenant of which no commit number is known:
it may not exist, because a forged token may have named it."""

Tag = tuple[str, UUID | None]
"""A table, or one row of it: the name of the table, and None or the id of the row."""
Touched = tuple[str, UUID]


class Stamp(NamedTuple):
    """When a result was read: the commit numbers of its snapshot, and a monotonic time just before the read (-inf if unknown)."""

    epoch: int
    number: int
    shared: int
    read_at: float


@dataclass(slots=True)
class _Known:
    """What is known of one tenant: its commits after number `start`, up to number `known`.

    For each table and row that these commits touched, `tables` and `rows` contain the number of the last such commit.
    """

    used_at: float
    since: float
    """When this process began to note its own commits for this tenant. A result read before may lack such a commit."""
    is_begun: bool = False
    start: int = 0
    known: int = 0
    confirmed_at: float = -math.inf
    required: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    rows: dict[Touched, int] = field(default_factory=dict)


class Watermarks:
    """The watermarks of all tenants whose results are cached, or whose commits are streamed, in this process."""

    def __init__(self) -> None:
        self.epoch = 0
        self.news = asyncio.Event()
        """Set when the relay should read the log before its next regular poll."""
        self._wanted: set[UUID] = set()
        self._tenants: dict[UUID, _Known] = {}
        self._shared = 0
        self._shared_asked_at = -math.inf
        self._shared_doubted_at = -math.inf

    def holds(
        self, tenant: UUID, stamp: Stamp, tags: Sequence[Tag], *, is_shared: bool, at_least: int, now: float
    ) -> bool:
        """Whether a result read at `stamp` is still valid: the tables and rows in `tags` have not changed since.

        This must have been known at most a second ago. The result must also include all commits up to number `at_least`, and
        all commits of this process. `is_shared` says that the result contains shared data too.
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
        """The last commit numbers of the tenant and of shared data, known at most a second ago.

        None if they are unknown, or if a commit that a read has to include (see `needed`) is not known yet.
        """
        needed = self.needed(tenant, at_least=at_least, now=now)
        return needed if needed is not None and needed[0] == self.known(tenant) else None

    def needed(self, tenant: UUID, *, at_least: int, now: float) -> tuple[int, int] | None:
        """The commit numbers of the tenant and of shared data that a read from a replica must include.

        These are all commits that this process has read from the log, its own commits, and those up to `at_least`. None if they
        are unknown, or if the log was last confirmed more than a second ago.
        """
        known = self._tenants.get(tenant)
        if known is None or known.confirmed_at < known.since:
            return None
        if min(known.confirmed_at, self._shared_asked_at) < now - LEASE:
            return None
        return max(known.known, known.required, at_least), self._shared

    def use(self, tenant: UUID, now: float) -> None:
        """Note that the tenant's data is read. If the tenant is not followed yet, the relay follows it from now on."""
        known = self._tenants.get(tenant)
        if known is None:
            self._tenants[tenant] = _Known(used_at=now, since=now)
            self.want([tenant])
        else:
            known.used_at = now

    def want(self, tenants: Iterable[UUID]) -> None:
        """Have the relay read the log of these tenants soon: they are not followed yet, or may have commits not known here."""
        self._wanted.update(tenants)
        self.news.set()

    def take_wanted(self) -> set[UUID]:
        """Return the tenants noted by `want`, and empty that set: the caller (the relay) reads their log now."""
        wanted, self._wanted = self._wanted, set()
        return wanted

    def learn(self, tenant: UUID, stamp: Stamp) -> bool:
        """Note the commit numbers that came with a statement's result; returns whether they are of the current epoch."""
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
        """Note a commit of this process. Until its changes are known, all results that were read before it are invalid."""
        known = self._tenants.get(tenant)
        if known is not None:
            known.required = max(known.required, number)

    def doubt_shared(self) -> None:
        """Note that this process has just written shared data: results with shared data that were read before are invalid."""
        self._shared_doubted_at = monotonic()
        self._shared_asked_at = -math.inf

    def begin(self, tenant: UUID, head: int, *, asked_at: float) -> None:
        """Follow the tenant from commit `head` on, and discard earlier knowledge. `head` was read at the time `asked_at`."""
        known = self._tenants.setdefault(tenant, _Known(used_at=asked_at, since=monotonic()))
        known.is_begun, known.start, known.known, known.confirmed_at = True, head, head, asked_at
        known.tables.clear()
        known.rows.clear()

    def apply(self, tenant: UUID, number: int, touched: Iterable[Touched], *, is_whole: bool) -> None:
        """Add the next commit. `touched` are the rows that it touched; with `is_whole` false there were more rows than these."""
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
        """Add older commits, from the one after `start` on. Cache entries in Redis that are so old can then be checked."""
        known = self._tenants.get(tenant)
        if known is None or start >= known.start:
            return
        for number, touched in commits:
            for table, row in touched:
                known.tables[table] = max(known.tables.get(table, 0), number)
                known.rows[(table, row)] = max(known.rows.get((table, row), 0), number)
        known.start = start

    def confirm(self, tenant: UUID, head: int, *, asked_at: float) -> bool:
        """Note the tenant's head, read at the monotonic time `asked_at`; returns whether every commit up to it is known."""
        known = self._tenants.get(tenant)
        if known is None:
            return True
        if not known.is_begun or head != known.known:
            # If the head is below `known`, it was read before newer commits became known.
            return known.is_begun and head < known.known
        known.confirmed_at = max(known.confirmed_at, asked_at)
        return True

    def confirm_shared(self, number: int, *, asked_at: float) -> None:
        """Note the shared commit number, read at the monotonic time `asked_at`."""
        if asked_at > self._shared_doubted_at:
            self._shared = max(self._shared, number)
            self._shared_asked_at = max(self._shared_asked_at, asked_at)

    def enter(self, epoch: int) -> None:
        """Enter a new epoch: discard what was known of the previous one."""
        self.epoch = epoch
        self._shared, self._shared_asked_at = 0, -math.inf
        now = monotonic()
        for known in self._tenants.values():
            # The epoch of this process's last commits is unknown, so `required` is reset. `since` has its effect instead:
            # knowledge from before now does not make a result valid.
            known.is_begun, known.required, known.confirmed_at, known.since = False, 0, -math.inf, now

    def known(self, tenant: UUID) -> int | None:
        """The number up to which the tenant's commits are known; None if the tenant is not followed yet."""
        known = self._tenants.get(tenant)
        return known.known if known is not None and known.is_begun else None

    def followed(self, now: float) -> list[UUID]:
        """The tenants to follow. Before, tenants that have not been used for some time are forgotten."""
        for tenant, known in list(self._tenants.items()):
            if known.used_at < now - (_FORGET_AFTER if known.is_begun else _FORGET_UNBEGUN_AFTER):
                del self._tenants[tenant]
        return list(self._tenants)
