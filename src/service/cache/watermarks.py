"""This process's knowledge of each tenant's commits: up to which number, and which commit last touched each table and row.

This knowledge alone decides whether a result that was read earlier is still valid. The relay (changes/relay.py) gets it from
the log itself, so no cache, no NOTIFY and no other process can make it wrong. If it has not been confirmed for a second, no
cached result is valid.
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
"""Seconds for which confirmed knowledge of the log can be relied on. A cached result is at most this old."""
_MOST_ROWS = 2_000
"""How many rows of one tenant are tracked individually; if there are more, all results read earlier become invalid."""
_FORGET_AFTER, _FORGET_UNBEGUN_AFTER = 300.0, 10.0
"""Seconds without use until a tenant is forgotten; fewer if nothing is known of it: perhaps a forged token names it."""

Tag = tuple[str, UUID | None]
"""A table, or one row of it."""
Touched = tuple[str, UUID]


class Stamp(NamedTuple):
    """When a result was read: the commit numbers of its snapshot, and a monotonic time just before it (-inf if unknown)."""

    epoch: int
    number: int
    shared: int
    read_at: float


@dataclass(slots=True)
class _Known:
    """What is known of one tenant: `tables` and `rows` say which commit after `start`, up to `known`, last touched each."""

    used_at: float
    since: float
    """When this process began to note its own commits for this tenant. A result read earlier may lack one of them."""
    is_begun: bool = False
    start: int = 0
    known: int = 0
    confirmed_at: float = -math.inf
    required: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    rows: dict[Touched, int] = field(default_factory=dict)


class Watermarks:
    """The watermarks of all tenants that this process caches results of, or has streams of."""

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
        """Whether a result read at `stamp` is valid: as known at most a second ago, nothing in `tags` was changed since.

        The result must also include commit `at_least` and all commits of this process. `is_shared` says that shared
        reference data was read too.
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
        """The tenant's and the shared commit number, at most a second old and not below `at_least`; None if they are unknown."""
        needed = self.needed(tenant, at_least=at_least, now=now)
        return needed if needed is not None and needed[0] == self.known(tenant) else None

    def needed(self, tenant: UUID, *, at_least: int, now: float) -> tuple[int, int] | None:
        """The tenant's and the shared number that a read from a replica must include; None when unknown.

        The read must include all commits known at most a second ago, those of this process, and `at_least`.
        """
        known = self._tenants.get(tenant)
        if known is None or known.confirmed_at < known.since:
            return None
        if min(known.confirmed_at, self._shared_asked_at) < now - LEASE:
            return None
        return max(known.known, known.required, at_least), self._shared

    def use(self, tenant: UUID, now: float) -> None:
        """Note that the tenant's data is read. A tenant that is new here is followed from now on."""
        known = self._tenants.get(tenant)
        if known is None:
            self._tenants[tenant] = _Known(used_at=now, since=now)
            self.want([tenant])
        else:
            known.used_at = now

    def want(self, tenants: Iterable[UUID]) -> None:
        """Have the relay look at these tenants in the log: they are new here, or have commits that are not known yet."""
        self._wanted.update(tenants)
        self.news.set()

    def take_wanted(self) -> set[UUID]:
        """The tenants to look at in the log. The caller does so now, so the set is emptied."""
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
        """Note a commit of this process: results read before it are invalid until the commit's changes are known."""
        known = self._tenants.get(tenant)
        if known is not None:
            known.required = max(known.required, number)

    def doubt_shared(self) -> None:
        """Note that this process has just written shared data: results of it that were read before are invalid."""
        self._shared_doubted_at = monotonic()
        self._shared_asked_at = -math.inf

    def begin(self, tenant: UUID, head: int, *, asked_at: float) -> None:
        """Follow the tenant from commit `head` on, read at the monotonic time `asked_at`. Earlier knowledge is discarded."""
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
        """Add older commits, those after `start`: other processes' cache entries may be so old, and can then be checked."""
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
            # A head below `known` was read earlier than what is known already.
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
            # This process's commits may be of the old or the new epoch; `since` makes sure that a valid result includes them.
            known.is_begun, known.required, known.confirmed_at, known.since = False, 0, -math.inf, now

    def known(self, tenant: UUID) -> int | None:
        """Up to which number the tenant's commits are known; None when it is not followed yet."""
        known = self._tenants.get(tenant)
        return known.known if known is not None and known.is_begun else None

    def followed(self, now: float) -> list[UUID]:
        """The tenants to follow. Those that have not been used for minutes are forgotten."""
        for tenant, known in list(self._tenants.items()):
            if known.used_at < now - (_FORGET_AFTER if known.is_begun else _FORGET_UNBEGUN_AFTER):
                del self._tenants[tenant]
        return list(self._tenants)
