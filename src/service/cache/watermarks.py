"""What this process knows of each tenant's commits: the last number, and which commit last changed each table and row.

This knowledge alone decides whether a cached result is still valid. The relay (changes/relay.py) reads it from the log itself, so
it can't be wrong because of a lost NOTIFY or an entry in Redis. Several times a second the relay compares it with the number of
the tenant's last commit, and confirms that no commit is missing. If the last confirmation is more than a second old, only results
that were read within the last second are valid.
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
"""For how many seconds after a confirmation the watermarks are used. So a result is at most this far behind the database."""
_MOST_ROWS = 2_000
"""How many changed rows of one tenant are remembered. If there are more, all results read earlier are invalid."""
_FORGET_AFTER, _FORGET_UNBEGUN_AFTER = 300.0, 10.0
"""After how many seconds without use a tenant is forgotten. The second value is for tenants of which no commit number is known
yet. Such a tenant may not exist, because its id may come from a forged token."""

Tag = tuple[str, UUID | None]
"""A table or one of its rows: the table's name, and the id of the row, or None for the whole table."""
Touched = tuple[str, UUID]


class Stamp(NamedTuple):
    """The state of the database that a result shows: its epoch and commit numbers, and when it was read.

    `number` is the number of the tenant's last commit, `shared` that of shared data. `read_at` is the monotonic time just before
    the read; -inf if it is unknown.
    """

    epoch: int
    number: int
    shared: int
    read_at: float


@dataclass(slots=True)
class _Known:
    """What is known of one tenant: its commits after number `start`, up to number `known`.

    Keys of `tables` and `rows` are the tables and rows that these commits changed; values are the number of the last commit that
    changed the table or row. `confirmed_at` is when `known` was last confirmed to be the tenant's last commit. `required` is the
    number of this process's last commit.
    """

    used_at: float
    since: float
    """When this process began to note its own commits for this tenant. A result that was read earlier may lack such a commit."""
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
        """This event is set if the relay should read the log now, and not only at its next regular poll."""
        self._wanted: set[UUID] = set()
        self._tenants: dict[UUID, _Known] = {}
        self._shared = 0
        self._shared_asked_at = -math.inf
        self._shared_doubted_at = -math.inf

    def holds(
        self, tenant: UUID, stamp: Stamp, tags: Sequence[Tag], *, is_shared: bool, at_least: int, now: float
    ) -> bool:
        """Whether a result with this stamp is still valid: no table or row in `tags` was changed after it was read.

        The last confirmation, or the read of the result itself, must be at most a second old. The commits of this process, and
        those up to number `at_least`, must be known or included in the result. `is_shared` says that it contains shared data.
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
        """The numbers of the last commits of the tenant and of shared data, if they were confirmed at most a second ago.

        Otherwise None; also if a commit of this process, or the commit `at_least`, is not known from the log yet.
        """
        needed = self.needed(tenant, at_least=at_least, now=now)
        return needed if needed is not None and needed[0] == self.known(tenant) else None

    def needed(self, tenant: UUID, *, at_least: int, now: float) -> tuple[int, int] | None:
        """Two numbers, of the tenant and of shared data: a replica must have the commits up to these numbers to be read.

        The tenant's number is the highest of the last number known from the log, that of this process's last commit, and
        `at_least`. None if the numbers from the log are unknown, or were last confirmed more than a second ago.
        """
        known = self._tenants.get(tenant)
        if known is None or known.confirmed_at < known.since:
            return None
        if min(known.confirmed_at, self._shared_asked_at) < now - LEASE:
            return None
        return max(known.known, known.required, at_least), self._shared

    def use(self, tenant: UUID, now: float) -> None:
        """Note that data of the tenant are read now. If the tenant is not followed yet, ask the relay to follow its log."""
        known = self._tenants.get(tenant)
        if known is None:
            self._tenants[tenant] = _Known(used_at=now, since=now)
            self.want([tenant])
        else:
            known.used_at = now

    def want(self, tenants: Iterable[UUID]) -> None:
        """Ask the relay to read the log of these tenants soon: they are not followed yet, or may have commits not known here."""
        self._wanted.update(tenants)
        self.news.set()

    def take_wanted(self) -> set[UUID]:
        """Return the tenants that were given to `want` since the last call. The caller (the relay) then reads their log."""
        wanted, self._wanted = self._wanted, set()
        return wanted

    def learn(self, tenant: UUID, stamp: Stamp) -> bool:
        """Note the commit numbers that were read together with a result. Returns whether they belong to the current epoch."""
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
        """Note a commit of this process. Until the relay has read its changes, results that were read before it are invalid."""
        known = self._tenants.get(tenant)
        if known is not None:
            known.required = max(known.required, number)

    def doubt_shared(self) -> None:
        """Note that this process has just written shared data. Results with shared data that were read before become invalid."""
        self._shared_doubted_at = monotonic()
        self._shared_asked_at = -math.inf

    def begin(self, tenant: UUID, head: int, *, asked_at: float) -> None:
        """Follow the tenant from commit `head` on, and forget earlier commits. `head` was read at monotonic time `asked_at`."""
        known = self._tenants.setdefault(tenant, _Known(used_at=asked_at, since=monotonic()))
        known.is_begun, known.start, known.known, known.confirmed_at = True, head, head, asked_at
        known.tables.clear()
        known.rows.clear()

    def apply(self, tenant: UUID, number: int, touched: Iterable[Touched], *, is_whole: bool) -> None:
        """Note the tenant's next commit. `touched` are rows that it changed; if `is_whole` is false, there are others too."""
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
        """Note older commits, from number `start` + 1 on. Then entries in Redis as old as `start` can be checked."""
        known = self._tenants.get(tenant)
        if known is None or start >= known.start:
            return
        for number, touched in commits:
            for table, row in touched:
                known.tables[table] = max(known.tables.get(table, 0), number)
                known.rows[(table, row)] = max(known.rows.get((table, row), 0), number)
        known.start = start

    def confirm(self, tenant: UUID, head: int, *, asked_at: float) -> bool:
        """Note the tenant's last number, read at monotonic time `asked_at`. Returns whether all commits up to it are known."""
        known = self._tenants.get(tenant)
        if known is None:
            return True
        if not known.is_begun or head != known.known:
            # A head below `known` was read before the newest commits became known. It confirms nothing, but no commit is missing.
            return known.is_begun and head < known.known
        known.confirmed_at = max(known.confirmed_at, asked_at)
        return True

    def confirm_shared(self, number: int, *, asked_at: float) -> None:
        """Note the number of the last change of shared data, read at the monotonic time `asked_at`."""
        if asked_at > self._shared_doubted_at:
            self._shared = max(self._shared, number)
            self._shared_asked_at = max(self._shared_asked_at, asked_at)

    def enter(self, epoch: int) -> None:
        """Begin the epoch `epoch`, and forget the commits of the previous epoch."""
        self.epoch = epoch
        self._shared, self._shared_asked_at = 0, -math.inf
        now = monotonic()
        for known in self._tenants.values():
            # `required` is reset, because it is unknown to which epoch this process's last commits belong. Instead, `since` makes
            # sure that no result and no confirmation from before this moment is used.
            known.is_begun, known.required, known.confirmed_at, known.since = False, 0, -math.inf, now

    def known(self, tenant: UUID) -> int | None:
        """The number of the tenant's last commit that this process knows; None if the tenant is not followed yet."""
        known = self._tenants.get(tenant)
        return known.known if known is not None and known.is_begun else None

    def followed(self, now: float) -> list[UUID]:
        """Forget the tenants that have not been used for some time, and return the others. The relay follows their logs."""
        for tenant, known in list(self._tenants.items()):
            if known.used_at < now - (_FORGET_AFTER if known.is_begun else _FORGET_UNBEGUN_AFTER):
                del self._tenants[tenant]
        return list(self._tenants)
