"""SingleRead: a read that is one statement, so that it can be sent in one message with the lookup of the bearer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from service.engine import EngineWork
from service.statements.frames import Form
from service.statements.reads import JointResult, ReadCall, read_with_bearer

W = TypeVar("W", bound=EngineWork)
R = TypeVar("R")


@dataclass(frozen=True)
class SingleRead(Generic[W, R]):
    """A read, and what becomes of its result.

    `read` is called before the caller is known, and perhaps again after that. So it does nothing but call one method of a
    repository, and returns this call without awaiting it. `result` makes the result of the unit of work from what the database
    has returned: JSON texts if `may_be_rendered` and PostgreSQL can render them, with `has_numbers` also the commit numbers.
    """

    read: Callable[[W], Awaitable[Any]]
    result: Callable[[JointResult], R]
    may_be_rendered: bool = False
    has_numbers: bool = False

    async def together(self, work: W, bearer: ReadCall) -> JointResult | None:
        """Send the read together with the lookup of the bearer.

        None if it can't be sent this way: it needs a transaction, the work reads through the cache, or `read` fails, because the
        caller or the input may be wrong. The error is then raised when `read` is called again, after the caller has been
        admitted. Raises NotDirect.
        """
        if work.reading is not None or work.binding.direct is None:
            return None
        try:
            asked = self.read(work)
        except Exception:  # noqa: BLE001  see above
            return None
        if isinstance(asked, ReadCall):
            form: Form = "json" if self.may_be_rendered and asked.can_render else "rows"
            return await read_with_bearer(asked, bearer, form, has_numbers=self.has_numbers)
        # Nothing may run before the caller is admitted: neither a coroutine nor what asyncio.gather() has just scheduled.
        if isinstance(asked, Coroutine):
            asked.close()
        elif isinstance(asked, asyncio.Future):
            asked.cancel()
        return None
