"""Which failures are repeated, and that it is counted."""

from __future__ import annotations

from typing import Any

import pytest

from service.database.retries import repeated
from service.errors import CommitUnknown, Conflict, Contention, PoolExhausted, ServiceError, StalePlan, Unavailable
from service.metrics import RETRIES


async def attempts_at(error: ServiceError, **limits: Any) -> int:
    made: list[int] = []

    async def once(attempt: int) -> None:
        made.append(attempt)
        raise error

    with pytest.raises(type(error)):
        await repeated(once, **limits)
    assert made == list(range(1, len(made) + 1))
    return len(made)


@pytest.mark.parametrize("error", [Contention(), StalePlan(), Unavailable()])
async def test_what_may_pass_is_tried_three_times(error: ServiceError) -> None:
    assert await attempts_at(error) == 3


@pytest.mark.parametrize("error", [CommitUnknown(), Conflict(), PoolExhausted()])
async def test_what_will_not_pass_is_tried_once(error: ServiceError) -> None:
    assert await attempts_at(error) == 1


async def test_repetitions_are_counted_by_reason() -> None:
    before = RETRIES.labels(reason="Contention")._value.get()
    await attempts_at(Contention())
    assert RETRIES.labels(reason="Contention")._value.get() == before + 2


async def test_the_deadline_ends_the_attempts() -> None:
    assert 1 <= await attempts_at(Contention(), attempts=1000, deadline=0.05) < 1000


async def test_what_comes_after_a_failure_is_the_answer() -> None:
    async def once(attempt: int) -> int:
        if attempt < 3:
            raise Contention
        return attempt

    assert await repeated(once) == 3
