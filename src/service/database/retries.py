"""Repeats work after transient errors: how often, and after which pauses. An error is transient if its class is `retryable`."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from service.errors import ServiceError
from service.metrics import RETRIES

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.25

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.retries")


async def repeated(once: Callable[[int], Awaitable[T]], *, attempts: int = 3, deadline: float = 30.0) -> T:
    """Await `once(1)`, and after each transient error the next attempt: `once(2)` and so on. Raises the last error.

    There are at most `attempts`, and none is added after `deadline` seconds. A pause is a random part of a limit that doubles
    from 5 ms up to 250 ms. Tenacity is not used here: it would take more time than all other Python code of a request.
    """
    started = monotonic()
    attempt = 1
    while True:
        try:
            return await once(attempt)
        except ServiceError as error:
            if not error.retryable or attempt >= attempts or monotonic() - started >= deadline:
                raise
            pause = random.uniform(0, min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE))
            _note(error, attempt, pause)
        await asyncio.sleep(pause)
        attempt += 1


def connecting(attempts: int) -> AsyncRetrying:
    """Repeats the first connection attempt while the server is starting, after pauses that grow from 100 ms up to 5 s."""
    return AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        retry=retry_if_exception(lambda error: isinstance(error, ServiceError) and error.retryable),
        before_sleep=_note_state,
        reraise=True,
    )


def _note_state(state: RetryCallState) -> None:
    _note(state.outcome.exception() if state.outcome else None, state.attempt_number, state.upcoming_sleep)


def _note(error: BaseException | None, attempt: int, pause: float) -> None:
    reason = type(error).__name__
    RETRIES.labels(reason=reason).inc()
    cause = type(error.__cause__).__name__ if error is not None and error.__cause__ is not None else None
    log.info("retry", attempt=attempt, reason=reason, cause=cause, wait_seconds=pause)
