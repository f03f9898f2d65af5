"""The ring: the latest commits without a gap, within bounds, for any number of readers."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from changes.followers import numbers
from service.changes import ring as rings
from service.changes.events import Frame
from service.changes.ring import Ring


def frames(first: int, *sizes: int) -> list[Frame]:
    return [Frame(first + n, b"x" * size, frozenset()) for n, size in enumerate(sizes)]


def test_a_new_ring_has_nothing_after_its_head_and_does_not_know_what_came_before() -> None:
    ring = Ring(3, 7)
    assert (ring.epoch, ring.start, ring.head) == (3, 7, 7)
    assert ring.after(7) == []
    assert ring.after(6) is None


def test_what_is_appended_is_handed_over_in_order_from_wherever_one_is() -> None:
    ring = Ring(1, 7)
    ring.append(frames(8, 1, 1))
    ring.append(frames(10, 1))
    assert (ring.start, ring.head) == (7, 10)
    assert [numbers(ring, after) for after in (7, 8, 9, 10)] == [[8, 9, 10], [9, 10], [10], []]


def test_a_number_that_is_yet_to_come_has_nothing_after_it() -> None:
    ring = Ring(1, 7)
    ring.append(frames(8, 1))
    assert ring.after(9) == []


def test_the_oldest_frames_go_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "_MOST_FRAMES", 3)
    ring = Ring(1, 0)
    ring.append(frames(1, 1, 1, 1, 1, 1))
    assert (ring.start, ring.head) == (2, 5)
    assert ring.after(1) is None
    assert numbers(ring, 2) == [3, 4, 5]


def test_the_oldest_frames_go_when_they_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "_MOST_BYTES", 100)
    ring = Ring(1, 0)
    ring.append(frames(1, 40, 40, 40, 10))
    assert (ring.start, numbers(ring, 1)) == (1, [2, 3, 4])
    ring.append(frames(5, 101))
    assert (ring.start, ring.head, ring.after(5), ring.after(4)) == (5, 5, [], None)
    ring.append(frames(6, 100))
    assert numbers(ring, 5) == [6]


def test_a_reader_that_is_far_behind_is_handed_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rings, "_MOST_AT_ONCE", 100)
    ring = Ring(1, 0)
    ring.append(frames(1, 60, 60, 60, 200, 1))
    assert [frame.number for frame in ring.after(0) or ()] == [1, 2]
    assert [frame.number for frame in ring.after(2) or ()] == [3, 4]
    assert numbers(ring, 0) == [1, 2, 3, 4, 5]


def test_a_restart_keeps_nothing() -> None:
    ring = Ring(1, 0)
    ring.append(frames(1, 1, 1))
    ring.restart(2, 9)
    assert (ring.epoch, ring.start, ring.head) == (2, 9, 9)
    assert (ring.after(1), ring.after(8), ring.after(9)) == (None, None, [])
    ring.append(frames(10, 1))
    assert numbers(ring, 9) == [10]


async def test_everybody_who_waits_is_woken_by_every_change() -> None:
    ring = Ring(1, 0)
    for happen in (lambda: ring.append(frames(1, 1)), lambda: ring.restart(1, 5), ring.wake):
        waiting = [asyncio.create_task(ring.news.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        happen()
        async with asyncio.timeout(10):
            assert await asyncio.gather(*waiting) == [True] * 3
        assert not ring.news.is_set()


@given(st.integers(0, 1000), st.lists(st.lists(st.integers(0, 300), max_size=8) | st.just("restart")))
def test_a_ring_is_dense_and_within_its_bounds_whatever_happens_to_it(head: int, steps: list[list[int] | str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, most in (("_MOST_FRAMES", 10), ("_MOST_BYTES", 1000), ("_MOST_AT_ONCE", 200)):
            patch.setattr(rings, name, most)
        ring = Ring(1, head)
        for step in steps:
            if isinstance(step, list):
                ring.append(frames(head + 1, *step))
                head += len(step)
            else:
                head += 3
                ring.restart(ring.epoch + 1, head)
            assert ring.head == head
            assert ring.after(ring.start - 1) is None
            for after in range(ring.start, head + 1):
                assert numbers(ring, after) == list(range(after + 1, head + 1))
            assert head - ring.start == len(ring._frames) <= 10
            assert ring._bytes == sum(len(frame.data) for frame in ring._frames) <= 1000
