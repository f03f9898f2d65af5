"""Limits on the concurrent requests of one tenant and of one bearer in this process, so that nobody stalls the others.

All share one pool of connections. Without a bound, one tenant with slow requests holds all of it, and everybody waits.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, field

from service.errors import RateLimited

_RETRY_AFTER = 1
_QUEUE = 100
"""Pieces of work of one tenant that wait; the next one is refused."""
_PROVEN = 20_000
"""Bearers that are remembered; one that is forgotten proves itself again."""


@dataclass
class _Share:
    """Of one tenant or bearer: how many are at work, and who waits."""

    busy: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Shares:
    """`async with shares.hold(tenant, bearer, place)`: at most three quarters of `connections` for a tenant, half for a bearer.

    A token names its tenant, and may be forged. Until `prove` says that it was admitted, its requests count for the network
    that they come from, so that forged tokens can't fill the share of the tenant that they name.
    """

    def __init__(self, connections: int) -> None:
        self._of_tenant = max(1, connections * 3 // 4)
        self._of_bearer = max(1, connections // 2)
        self._shares: dict[Hashable, _Share] = {}
        self._proven: OrderedDict[Hashable, None] = OrderedDict()

    def prove(self, bearer: Hashable) -> None:
        """From now on the bearer's work is its tenant's."""
        self._proven[bearer] = None
        self._proven.move_to_end(bearer)
        if len(self._proven) > _PROVEN:
            self._proven.popitem(last=False)

    @contextlib.asynccontextmanager
    async def hold(self, tenant: Hashable, bearer: Hashable, place: Hashable) -> AsyncIterator[None]:
        """Wait for room, then hold it for the block. Raises RateLimited when too many wait already."""
        whole = tenant if bearer in self._proven else ("place", place)
        # The bearer first: one who waits for their own share must not hold the tenant's.
        await self._take(bearer, self._of_bearer)
        try:
            await self._take(whole, self._of_tenant)
            try:
                yield
            finally:
                self._give(whole)
        finally:
            self._give(bearer)

    async def _take(self, key: Hashable, most: int) -> None:
        share = self._shares.setdefault(key, _Share())
        if share.busy < most:
            share.busy += 1
            return
        if len(share.waiting) >= _QUEUE:
            raise RateLimited(_RETRY_AFTER)
        turn = asyncio.get_running_loop().create_future()
        share.waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # The turn had come already; the next one gets it.
                self._give(key)
            else:
                # `_give` may have removed it already.
                with contextlib.suppress(ValueError):
                    share.waiting.remove(turn)
            raise

    def _give(self, key: Hashable) -> None:
        share = self._shares[key]
        while share.waiting:
            turn = share.waiting.popleft()
            if not turn.done():
                # Room passes from one to the other.
                turn.set_result(None)
                return
        share.busy -= 1
        if share.busy == 0:
            del self._shares[key]
