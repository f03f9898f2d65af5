"""Watermarks: each reason why an answer holds no more, what is taken in, and who is followed."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID, uuid4

import pytest

from service.cache import watermarks
from service.cache.watermarks import LEASE, Stamp, Tag, Watermarks

ACME, GLOBEX = uuid4(), uuid4()
A0, A1, B0 = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = 1000.0


class Clock:
    """The time that watermarks ask for themselves."""

    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watermarks, "monotonic", made)
    return made


@pytest.fixture
def marks(clock: Clock) -> Watermarks:
    """One tenant, followed since a while, known up to 10 as of now; so is the shared number, which is 3."""
    made = Watermarks()
    clock.now = NOW - 100
    made.enter(1)
    made.use(ACME, NOW - 100)
    made.begin(ACME, 10, asked_at=NOW)
    made.confirm_shared(3, asked_at=NOW)
    clock.now = NOW
    return made


def read(number: int = 10, *, at: float = -math.inf, shared: int = 3, epoch: int = 1) -> Stamp:
    return Stamp(epoch, number, shared, at)


def holds(marks: Watermarks, stamp: Stamp, *tags: Tag, **how: Any) -> bool:
    given = {"is_shared": False, "at_least": 0, "now": NOW, **how}
    return marks.holds(given.pop("tenant", ACME), stamp, tags or (("campaigns", A0),), **given)


def test_what_was_read_elsewhere_holds_while_nothing_has_touched_it(marks: Watermarks) -> None:
    assert holds(marks, read())
    assert not holds(marks, read(), tenant=GLOBEX)


def test_nothing_holds_of_a_tenant_of_which_nothing_is_known_yet(marks: Watermarks) -> None:
    marks.use(GLOBEX, NOW)
    assert not holds(marks, read(at=NOW), tenant=GLOBEX)


def test_what_is_older_than_what_is_known_does_not_hold(marks: Watermarks) -> None:
    assert not holds(marks, read(9))
    marks.begin(GLOBEX, 0, asked_at=NOW)
    assert holds(marks, read(0), tenant=GLOBEX)


def test_what_is_of_another_epoch_does_not_hold(marks: Watermarks) -> None:
    assert not holds(marks, read(epoch=0))
    assert not holds(marks, read(epoch=2, at=NOW))


def test_a_touched_row_does_not_hold_and_another_one_does(marks: Watermarks) -> None:
    marks.apply(ACME, 11, [("campaigns", A0), ("brands", B0)], is_whole=True)
    assert not holds(marks, read(), ("campaigns", A0))
    assert holds(marks, read(), ("campaigns", A1))
    assert not holds(marks, read(), ("campaigns", None))
    assert holds(marks, read(), ("contents", None))
    assert not holds(marks, read(), ("contents", A0), ("brands", None))
    assert holds(marks, read(), ("brands", A0))
    assert holds(marks, read(11), ("campaigns", A0), ("campaigns", None))


def test_a_number_that_is_asked_for_has_to_be_known_or_in_the_answer(marks: Watermarks) -> None:
    assert not holds(marks, read(at=NOW), at_least=11)
    assert not holds(marks, read(11, at=NOW), at_least=12)
    assert holds(marks, read(11, at=NOW), at_least=11)
    assert holds(marks, read(12), at_least=11)
    marks.apply(ACME, 11, [("campaigns", A1)], is_whole=True)
    assert holds(marks, read(), at_least=11)
    assert not holds(marks, read(), ("campaigns", None), at_least=11)


def test_an_own_commit_counts_as_asked_for_until_it_is_known(marks: Watermarks) -> None:
    marks.committed(ACME, 12)
    marks.committed(ACME, 11)
    assert not holds(marks, read(11, at=NOW))
    assert holds(marks, read(12, at=NOW))
    assert marks.place(ACME, at_least=0, now=NOW) is None
    for number in (11, 12):
        marks.apply(ACME, number, [("campaigns", A1)], is_whole=True)
    assert holds(marks, read())
    assert marks.place(ACME, at_least=0, now=NOW) == (12, 3)


def test_an_own_commit_of_a_tenant_that_nobody_reads_needs_no_note(marks: Watermarks) -> None:
    marks.committed(GLOBEX, 5)
    assert marks.followed(NOW) == [ACME]


@pytest.mark.parametrize(("ago", "is_held"), [(0.0, True), (LEASE, True), (LEASE + 0.001, False)])
def test_knowledge_is_worth_a_second(marks: Watermarks, ago: float, is_held: bool) -> None:
    assert holds(marks, read(), now=NOW + ago) is is_held
    assert (marks.place(ACME, at_least=0, now=NOW + ago) is not None) is is_held
    # What was read here is as good as what was confirmed then.
    assert holds(marks, read(at=NOW + 50), now=NOW + 50 + ago) is is_held
    marks.confirm(ACME, 10, asked_at=NOW + 70)
    assert holds(marks, read(at=NOW + 50), now=NOW + 70 + ago) is is_held


def test_an_answer_with_shared_data_holds_while_its_number_is_the_last(marks: Watermarks) -> None:
    assert holds(marks, read(), is_shared=True)
    assert holds(marks, read(shared=4), is_shared=True)
    marks.confirm_shared(4, asked_at=NOW)
    marks.confirm_shared(3, asked_at=NOW + 1)
    assert not holds(marks, read(), is_shared=True)
    assert not holds(marks, read(at=NOW), is_shared=True)
    assert holds(marks, read())
    assert holds(marks, read(shared=4), is_shared=True)
    assert holds(marks, read(shared=4), is_shared=True, now=NOW + LEASE)


def test_the_shared_number_is_known_for_a_second_too(marks: Watermarks) -> None:
    later = NOW + LEASE + 0.5
    marks.confirm(ACME, 10, asked_at=later)
    assert not holds(marks, read(), is_shared=True, now=later)
    assert holds(marks, read(at=later), is_shared=True, now=later)
    assert marks.place(ACME, at_least=0, now=later) is None
    marks.confirm_shared(3, asked_at=later)
    assert holds(marks, read(), is_shared=True, now=later)
    assert marks.place(ACME, at_least=0, now=later) == (10, 3)


def test_after_an_own_write_of_shared_data_what_was_read_or_asked_before_does_not_hold(
    marks: Watermarks, clock: Clock
) -> None:
    written = clock.now = NOW + 0.1
    marks.doubt_shared()
    assert not holds(marks, read(at=NOW), is_shared=True, now=written)
    assert holds(marks, read(at=NOW), now=written)
    assert marks.place(ACME, at_least=0, now=written) is None
    # A poll that was on its way.
    marks.confirm_shared(3, asked_at=NOW + 0.05)
    assert not holds(marks, read(at=NOW), is_shared=True, now=written)
    assert marks.place(ACME, at_least=0, now=written) is None
    assert holds(marks, read(at=written + 0.01, shared=4), is_shared=True, now=written + 0.02)
    marks.confirm_shared(4, asked_at=written + 0.03)
    assert not holds(marks, read(at=NOW), is_shared=True, now=written + 0.04)
    assert holds(marks, read(shared=4), is_shared=True, now=written + 0.04)
    assert marks.place(ACME, at_least=0, now=written + 0.04) == (10, 4)


def test_a_write_of_shared_data_that_changed_nothing_costs_no_entry(marks: Watermarks, clock: Clock) -> None:
    clock.now = NOW + 0.1
    marks.doubt_shared()
    marks.confirm_shared(3, asked_at=NOW + 0.2)
    assert holds(marks, read(at=NOW), is_shared=True, now=NOW + 0.3)


def test_a_commit_that_is_not_whole_touches_everything(marks: Watermarks) -> None:
    marks.apply(ACME, 11, [("campaigns", A0)], is_whole=False)
    assert not holds(marks, read(at=NOW), ("niches", A1))
    assert holds(marks, read(11), ("campaigns", A0))


def test_too_many_rows_are_given_up_together(marks: Watermarks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watermarks, "_MOST_ROWS", 3)
    marks.apply(ACME, 11, [("campaigns", UUID(int=n)) for n in range(10, 13)], is_whole=True)
    assert holds(marks, read(), ("campaigns", A0))
    marks.apply(ACME, 12, [("campaigns", UUID(int=13))], is_whole=True)
    assert not holds(marks, read(11), ("campaigns", A0))
    assert holds(marks, read(12), ("campaigns", A0))
    marks.apply(ACME, 13, [("campaigns", A0)], is_whole=True)
    assert not holds(marks, read(12), ("campaigns", A0))


def test_commits_of_a_tenant_that_was_forgotten_are_passed_over(marks: Watermarks) -> None:
    marks.apply(GLOBEX, 1, [("campaigns", A0)], is_whole=True)
    marks.reach_back(GLOBEX, 1, [])
    assert marks.confirm(GLOBEX, 5, asked_at=NOW)
    assert marks.known(GLOBEX) is None
    assert marks.place(GLOBEX, at_least=0, now=NOW) is None


def test_commits_of_before_are_taken_in_without_forgetting_newer_ones(marks: Watermarks) -> None:
    marks.apply(ACME, 11, [("campaigns", A0)], is_whole=True)
    assert not holds(marks, read(8), ("contents", None))
    marks.reach_back(ACME, 7, [(8, [("campaigns", A0)]), (9, [("brands", B0)]), (10, [("campaigns", A1)])])
    assert holds(marks, read(8), ("contents", None))
    assert not holds(marks, read(7), ("campaigns", A1))
    assert not holds(marks, read(8), ("brands", None))
    assert holds(marks, read(9), ("brands", B0))
    assert not holds(marks, read(10), ("campaigns", A0))
    assert not holds(marks, read(6), ("contents", None))
    marks.reach_back(ACME, 7, [(8, [("contents", A0)])])
    assert holds(marks, read(7), ("contents", None))


def test_a_head_is_confirmed_only_when_all_of_it_is_known(marks: Watermarks) -> None:
    later = NOW + 2
    assert not marks.confirm(ACME, 11, asked_at=later)
    assert not holds(marks, read(), now=later)
    assert marks.confirm(ACME, 10, asked_at=later)
    assert holds(marks, read(), now=later)
    marks.use(GLOBEX, NOW)
    assert not marks.confirm(GLOBEX, 0, asked_at=NOW)


def test_an_older_head_than_what_is_known_says_nothing(marks: Watermarks) -> None:
    marks.apply(ACME, 11, [], is_whole=True)
    assert marks.confirm(ACME, 10, asked_at=NOW + 2)
    assert not holds(marks, read(11), now=NOW + 2)


def test_confirmations_may_arrive_in_any_order(marks: Watermarks) -> None:
    marks.confirm(ACME, 10, asked_at=NOW + 2)
    marks.confirm(ACME, 10, asked_at=NOW + 1)
    marks.confirm_shared(3, asked_at=NOW + 2)
    marks.confirm_shared(3, asked_at=NOW + 1)
    assert holds(marks, read(), is_shared=True, now=NOW + 2 + LEASE)


def test_a_new_epoch_gives_everything_up(marks: Watermarks, clock: Clock) -> None:
    marks.committed(ACME, 50)
    marks.apply(ACME, 11, [("campaigns", A0)], is_whole=True)
    clock.now = NOW + 0.1
    marks.enter(2)
    assert marks.known(ACME) is None
    assert marks.place(ACME, at_least=0, now=clock.now) is None
    assert not holds(marks, read(at=NOW, epoch=2), now=clock.now)
    # Numbers begin again, lower ones perhaps.
    marks.begin(ACME, 4, asked_at=NOW + 0.2)
    marks.confirm_shared(1, asked_at=NOW + 0.2)
    assert holds(marks, read(4, epoch=2, shared=1), is_shared=True, now=NOW + 0.3)
    assert marks.place(ACME, at_least=0, now=NOW + 0.3) == (4, 1)


def test_what_was_asked_for_before_an_epoch_was_noticed_may_miss_an_own_commit_of_it(
    marks: Watermarks, clock: Clock
) -> None:
    marks.committed(ACME, 5)
    clock.now = NOW + 0.1
    marks.enter(2)
    marks.begin(ACME, 4, asked_at=NOW)
    assert not holds(marks, read(4, at=NOW, epoch=2), now=NOW + 0.2)
    marks.confirm_shared(3, asked_at=NOW)
    assert marks.place(ACME, at_least=0, now=NOW + 0.2) is None
    assert not marks.confirm(ACME, 5, asked_at=NOW + 0.2)
    marks.apply(ACME, 5, [("campaigns", A0)], is_whole=True)
    assert marks.confirm(ACME, 5, asked_at=NOW + 0.2)
    assert not holds(marks, read(4, at=NOW, epoch=2), now=NOW + 0.3)
    assert holds(marks, read(5, epoch=2), now=NOW + 0.3)


def test_a_tenant_is_followed_from_its_first_use_and_forgotten_minutes_after_the_last(marks: Watermarks) -> None:
    marks.take_wanted()
    marks.use(ACME, NOW)
    marks.use(GLOBEX, NOW)
    marks.begin(GLOBEX, 0, asked_at=NOW)
    assert marks.take_wanted() == {GLOBEX}
    assert marks.followed(NOW + 250) == [ACME, GLOBEX]
    marks.use(ACME, NOW + 250)
    assert marks.followed(NOW + 301) == [ACME]
    assert marks.known(GLOBEX) is None
    assert not holds(marks, read(0, at=NOW + 301), tenant=GLOBEX, now=NOW + 301)


def test_a_tenant_that_is_not_there_is_forgotten_soon(marks: Watermarks) -> None:
    for n in range(100):
        marks.use(UUID(int=n), NOW)
    assert len(marks.followed(NOW + 5)) == 101
    assert marks.followed(NOW + 11) == [ACME]


def test_what_was_asked_for_while_a_tenant_was_forgotten_may_miss_an_own_commit(
    marks: Watermarks, clock: Clock
) -> None:
    later = clock.now = NOW + 400
    assert marks.followed(later) == []
    marks.committed(ACME, 11)
    marks.use(ACME, later)
    marks.begin(ACME, 10, asked_at=later - 0.5)
    assert not holds(marks, read(), now=later)
    clock.now = NOW + 800
    assert marks.followed(NOW + 800) == []
    marks.begin(ACME, 10, asked_at=NOW + 799.9)
    assert not holds(marks, read(), now=NOW + 800)


def test_news_is_asked_for_when_an_answer_knows_more(marks: Watermarks, clock: Clock) -> None:
    marks.take_wanted()
    assert marks.learn(ACME, read(10, at=NOW))
    assert marks.take_wanted() == set()
    assert marks.learn(ACME, read(11, at=NOW))
    assert marks.take_wanted() == {ACME}
    assert not marks.learn(ACME, read(11, at=NOW, epoch=2))
    assert marks.take_wanted() == {ACME}
    assert marks.known(ACME) == 10
    assert marks.learn(GLOBEX, read(4, at=NOW))
    assert marks.known(GLOBEX) is None
    marks.use(GLOBEX, NOW)
    assert marks.learn(GLOBEX, read(4, at=NOW))
    assert marks.known(GLOBEX) == 4
    assert holds(marks, read(4, at=NOW), tenant=GLOBEX)


def test_what_is_begun_with_an_answer_is_as_old_as_its_question(marks: Watermarks, clock: Clock) -> None:
    marks.use(GLOBEX, NOW)
    clock.now = NOW + 5
    marks.learn(GLOBEX, read(4, at=NOW))
    assert not holds(marks, read(4), tenant=GLOBEX, now=clock.now)


def test_a_place_is_told_only_when_what_is_asked_for_is_in_it(marks: Watermarks) -> None:
    assert marks.place(ACME, at_least=10, now=NOW) == (10, 3)
    assert marks.place(ACME, at_least=11, now=NOW) is None


def test_reading_elsewhere_needs_what_is_known_own_commits_and_what_is_asked_for(marks: Watermarks) -> None:
    assert marks.needed(ACME, at_least=4, now=NOW) == (10, 3)
    assert marks.needed(ACME, at_least=14, now=NOW) == (14, 3)
    marks.committed(ACME, 12)
    assert marks.needed(ACME, at_least=0, now=NOW) == (12, 3)


def test_what_reading_elsewhere_needs_is_unknown_in_another_epoch(marks: Watermarks) -> None:
    marks.enter(2)
    assert marks.needed(ACME, at_least=0, now=NOW) is None


def test_what_reading_elsewhere_needs_is_unknown_after_an_own_write_of_shared_data(marks: Watermarks) -> None:
    marks.doubt_shared()
    assert marks.needed(ACME, at_least=0, now=NOW) is None


def test_what_reading_elsewhere_needs_is_known_for_a_second(marks: Watermarks) -> None:
    assert marks.needed(ACME, at_least=0, now=NOW + LEASE) is not None
    assert marks.needed(ACME, at_least=0, now=NOW + LEASE + 0.1) is None
