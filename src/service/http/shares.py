"""Limits how many requests of one tenant, and of one bearer (the holder of a token), run at the same time in this process.

All requests share one pool of database connections. Without these limits, one tenant with slow requests could occupy all
connections, and the requests of other tenants would have to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field

from service.errors import RateLimited

_RETRY_AFTER = 1
_QUEUE = 100
"""How many requests of one tenant, bearer or network may wait; further ones are refused."""
_PROVEN = 20_000
"""How many admitted bearers are remembered (see `Shares`). One that is forgotten counts as unknown until its next admission."""


@dataclass
class _Share:
    """The requests of one tenant, bearer or network: the number of running ones, and a future for each waiting one."""

    busy: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)


class Shares:
    """At most three quarters of `connections` requests of a tenant run at once, and at most half of `connections` of a bearer.

    `connections` is the size of the connection pool. A request runs inside `async with shares.hold(tenant, bearer, place)`.
    The tenant is the one that the token names, and a token may be forged. So until `prove` is called for a bearer, its requests
    are counted for `place`, the network that they come from, instead of the tenant: forged tokens can't use up the share of a
    tenant.
    """

    def __init__(self, connections: int) -> None:
        self._of_tenant = max(1, connections * 3 // 4)
        self._of_bearer = max(1, connections // 2)
        self._shares: dict[Hashable, _Share] = {}
        self._proven: OrderedDict[Hashable, None] = OrderedDict()

    def prove(self, bearer: Hashable) -> None:
        """Note that the bearer has been admitted: from now on, its requests are counted for its tenant."""
        self._proven[bearer] = None
        self._proven.move_to_end(bearer)
        if len(self._proven) > _PROVEN:
            self._proven.popitem(last=False)

    def hold(self, tenant: Hashable, bearer: Hashable, place: Hashable) -> Hold:
        """Wait until the request may run; during the block it counts as running. Raises RateLimited if too many already wait."""
        return Hold(self, bearer, tenant if bearer in self._proven else ("place", place))

    async def take(self, bearer: Hashable, whole: Hashable) -> None:
        """Take the share of a bearer, and that of its tenant or network (`whole`). Raises RateLimited as `hold` does."""
        # The bearer's share is taken first. In the other order, requests that wait for the share of their bearer would occupy
        # the share of the tenant.
        await self._take(bearer, self._of_bearer)
        try:
            await self._take(whole, self._of_tenant)
        except BaseException:
            self._give(bearer)
            raise

    def give(self, bearer: Hashable, whole: Hashable) -> None:
        """Give both shares back."""
        self._give(whole)
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
                # This request had already been allowed to run; let the next one run instead.
                self._give(key)
            else:
                # `_give` may already have removed the cancelled future; then there is nothing to remove.
                with contextlib.suppress(ValueError):
                    share.waiting.remove(turn)
            raise

    def _give(self, key: Hashable) -> None:
        share = self._shares[key]
        while share.waiting:
            turn = share.waiting.popleft()
            if not turn.done():
                # The waiting request runs instead of the finished one, so `busy` stays the same.
                turn.set_result(None)
                return
        share.busy -= 1
        if share.busy == 0:
            del self._shares[key]


class Hold:
    """The shares of one request, for use as `async with shares.hold(…):`.

    It is no generator with `asynccontextmanager`, because every request needs one.
    """

    __slots__ = ("_bearer", "_shares", "_whole")

    def __init__(self, shares: Shares, bearer: Hashable, whole: Hashable) -> None:
        self._shares, self._bearer, self._whole = shares, bearer, whole

    async def __aenter__(self) -> None:
        await self._shares.take(self._bearer, self._whole)

    async def __aexit__(self, *_: object) -> None:
        self._shares.give(self._bearer, self._whole)
