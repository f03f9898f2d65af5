"""The retry policies: tenacity does the waiting, the errors say whether repeating them is safe."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.stop import stop_any
from tenacity.wait import wait_random_exponential

from service.errors import ServiceError
from service.metrics import RETRIES

T = TypeVar("T")

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.retries")


def transient(attempts: int = 3, *, deadline: float = 30.0) -> AsyncRetrying:
    """Repeats a whole unit of work after a passing failure: full jitter from 5 to 250 ms, within `deadline` seconds."""
    return AsyncRetrying(
        stop=stop_any(stop_after_attempt(attempts), stop_after_delay(deadline)),
        wait=wait_random_exponential(multiplier=0.005, max=0.25),
        retry=retry_if_exception(_is_retryable),
        before_sleep=_note,
        reraise=True,
    )


async def repeated(once: Callable[[int], Awaitable[T]], *, attempts: int = 3, deadline: float = 30.0) -> T:
    """Await `once(1)`, and after a passing failure `once(2)` and so on, as `transient` says. Raises the last failure.

    The first attempt is made without the policy, whose machinery costs more than the rest of a request's Python.
    """
    started = monotonic()
    try:
        return await once(1)
    except ServiceError as error:
        if not error.retryable:
            raise
        failure = error
    async for attempt in transient(attempts, deadline=deadline - (monotonic() - started)):
        with attempt:
            if attempt.retry_state.attempt_number == 1:
                # Made already: the policy counts it, then waits and goes on, or gives up.
                raise failure
            return await once(attempt.retry_state.attempt_number)
    raise failure


def connecting(attempts: int) -> AsyncRetrying:
    """Repeats the first connection while the server is starting: 100 ms doubling up to 5 s, with jitter."""
    return AsyncRetrying(
        stop=stop_after_attempt(attempts),
        wait=wait_random_exponential(multiplier=0.1, max=5.0),
        retry=retry_if_exception(_is_retryable),
        before_sleep=_note,
        reraise=True,
    )


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ServiceError) and error.retryable


def _note(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    reason = type(error).__name__
    RETRIES.labels(reason=reason).inc()
    cause = type(error.__cause__).__name__ if error is not None and error.__cause__ is not None else None
    log.info("retry", attempt=state.attempt_number, reason=reason, cause=cause, wait_seconds=state.upcoming_sleep)
