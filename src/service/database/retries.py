"""Repeats work after transient errors, with pauses. An error is transient if the attribute `retryable` of its class is true."""

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
    """Await `once(1)`; after a transient error `once(2)`, and so on. Returns the first result, or raises the last error.

    `once` is called at most `attempts` times, and not again after an error that comes later than `deadline` seconds. Pauses are
    random, from 0 up to a limit that doubles from 5 ms to at most 250 ms. Tenacity is not used here, because it would take more
    time than all other Python code of a request.
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
    """Repeats the first attempt to connect after transient errors, with random pauses whose limit grows from 100 ms to 5 s."""
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
