"""Which failures are repeated, and that it is counted."""

from __future__ import annotations

import pytest

from service.database.retries import transient
from service.errors import CommitUnknown, Conflict, Contention, PoolExhausted, ServiceError, StalePlan, Unavailable
from service.metrics import RETRIES


async def attempts_at(error: ServiceError) -> int:
    made = 0
    with pytest.raises(type(error)):
        async for attempt in transient(3):
            with attempt:
                made += 1
                raise error
    return made


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
    made = 0
    with pytest.raises(Contention):
        async for attempt in transient(1000, deadline=0.05):
            with attempt:
                made += 1
                raise Contention
    assert 1 <= made < 1000
