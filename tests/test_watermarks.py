"""Watermarks: each reason why an answer holds no more, and a model that knows the truth."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from service import watermarks
from service.watermarks import LEASE, Stamp, Tag, Touched, Watermarks

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


# What holds.


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


# What is taken in.


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
    # Numbers begin anew, lower ones perhaps.
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


# Who is followed.


def test_a_tenant_is_followed_from_its_first_use_and_forgotten_minutes_after_the_last(marks: Watermarks) -> None:
    told: list[UUID] = []
    marks.on_news = told.append
    marks.use(ACME, NOW)
    marks.use(GLOBEX, NOW)
    marks.begin(GLOBEX, 0, asked_at=NOW)
    assert told == [GLOBEX]
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
    told: list[UUID] = []
    marks.on_news = told.append
    assert marks.learn(ACME, read(10, at=NOW))
    assert told == []
    assert marks.learn(ACME, read(11, at=NOW))
    assert not marks.learn(ACME, read(11, at=NOW, epoch=2))
    assert told == [ACME, ACME]
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


# The model.


@dataclass(frozen=True)
class State:
    """The database from a time on; `values` are what each tag's rows are, `shared_value` what the shared data are.

    `log` holds what each commit told that it touched, and whether that is whole.
    """

    at: float
    epoch: int
    number: int
    shared: int
    values: dict[Tag, int]
    shared_value: int
    log: dict[int, tuple[list[Touched], bool]]


@dataclass
class Asked:
    """A question to the database on its way: asked, then seen at some time, then answered. Any time passes between."""

    asked_at: float
    after: int = 0
    epoch: int = 0
    is_back: bool = False
    state: State | None = None
    commits: list[tuple[int, list[Touched], bool]] = field(default_factory=list)
    head: int = 0


@dataclass(frozen=True)
class Question:
    tags: Sequence[Tag]
    is_shared: bool


QUESTIONS = (
    Question((("a", A0),), is_shared=False),
    Question((("a", A1), ("b", None)), is_shared=True),
    Question((("a", None),), is_shared=False),
    Question((("b", B0),), is_shared=True),
    Question((), is_shared=True),
)
ROWS: tuple[Touched, ...] = (("a", A0), ("a", A1), ("b", B0))
TAGS: tuple[Tag, ...] = (*ROWS, ("a", None), ("b", None))
PAGE = 3
times = some.sampled_from([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.9, 1.2, 400.0])
touches = some.lists(some.sampled_from(ROWS), max_size=2, unique=True)


class Truth(RuleBasedStateMachine):
    """Commits of this process and of others, polls, pages of the log and reads, each as late as it likes, over several
    lives of the database, against watermarks that are driven as the relay and the cache drive them. One that is kept
    may hold only while its value was the true one within the lease, with every own commit and the number asked for in it.
    """

    held = 0

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(watermarks, "monotonic", lambda: self.now)
        self.states = [State(self.now, 1, 0, 0, dict.fromkeys(TAGS, 0), 0, {})]
        self.versions = 0
        self.own: list[tuple[int, float]] = []
        self.own_shared_at = -math.inf
        self.unacknowledged: list[State] = []
        self.unacknowledged_shared: list[float] = []
        self.polls: list[Asked] = []
        self.page: Asked | None = None
        self.fills: list[Asked] = []
        self.kept: list[tuple[Stamp, State]] = []
        self.marks = Watermarks()

    @initialize()
    def start(self) -> None:
        self.marks.enter(1)

    def teardown(self) -> None:
        self.patch.undo()

    @property
    def state(self) -> State:
        return self.states[-1]

    def tick(self) -> None:
        self.now += 0.0001

    def become(self, **changes: Any) -> None:
        self.tick()
        self.states.append(State(**{**vars(self.state), **changes, "at": self.now}))

    def new_version(self) -> int:
        self.versions += 1
        return self.versions

    @rule(seconds=times)
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    # The database.

    def commit(self, touched: list[Touched], is_whole: bool) -> None:
        number, version = self.state.number + 1, self.new_version()
        written: list[Touched] = list(touched) if is_whole else list(ROWS)
        tags: list[Tag] = [*written, *((table, None) for table, _ in written)]
        values = {**self.state.values, **dict.fromkeys(tags, version)}
        self.become(number=number, values=values, log={**self.state.log, number: (touched, is_whole)})

    @rule(touched=touches, is_whole=some.sampled_from([True, True, True, False]))
    def another_process_commits(self, touched: list[Touched], is_whole: bool) -> None:
        self.commit(touched, is_whole)

    @rule(touched=touches)
    def this_process_commits(self, touched: list[Touched]) -> None:
        self.commit(touched, is_whole=True)
        self.unacknowledged.append(self.state)

    @precondition(lambda self: self.unacknowledged)
    @rule()
    def the_commit_is_acknowledged(self) -> None:
        self.tick()
        committed = self.unacknowledged.pop(0)
        self.marks.committed(ACME, committed.number)
        self.own.append((committed.epoch, committed.at))

    @rule(is_own=some.booleans())
    def shared_data_are_written(self, is_own: bool) -> None:
        self.become(shared=self.state.shared + 1, shared_value=self.new_version())
        if is_own:
            self.unacknowledged_shared.append(self.now)

    @precondition(lambda self: self.unacknowledged_shared)
    @rule()
    def the_shared_write_is_acknowledged(self) -> None:
        self.tick()
        self.own_shared_at = max(self.own_shared_at, self.unacknowledged_shared.pop(0))
        self.marks.doubt_shared()

    @precondition(lambda self: self.state.epoch < 3)
    @rule(back=some.integers(0, 3))
    def the_database_begins_another_life(self, back: int) -> None:
        former = self.states[max(0, len(self.states) - 1 - back)]
        self.become(**{**vars(former), "epoch": self.state.epoch + 1})
        # No connection outlives it.
        self.unacknowledged.clear()
        self.unacknowledged_shared.clear()

    # The relay.

    @precondition(lambda self: len(self.polls) < 2)
    @rule()
    def heads_are_asked_for(self) -> None:
        self.tick()
        if ACME in self.marks.followed(self.now):
            self.polls.append(Asked(self.now))

    @precondition(lambda self: any(poll.state is None for poll in self.polls))
    @rule()
    def the_poll_is_seen(self) -> None:
        next(poll for poll in self.polls if poll.state is None).state = self.state

    @precondition(lambda self: any(poll.state for poll in self.polls))
    @rule()
    def the_poll_is_answered(self) -> None:
        self.tick()
        poll = next(poll for poll in self.polls if poll.state)
        self.polls.remove(poll)
        assert poll.state
        if poll.state.epoch < self.marks.epoch:
            return
        if poll.state.epoch > self.marks.epoch:
            self.marks.enter(poll.state.epoch)
        self.marks.confirm_shared(poll.state.shared, asked_at=poll.asked_at)
        if self.marks.known(ACME) is None:
            self.marks.begin(ACME, poll.state.number, asked_at=poll.asked_at)
            self.ask_for_page(is_back=True)
        elif not self.marks.confirm(ACME, poll.state.number, asked_at=poll.asked_at):
            self.ask_for_page()

    @rule()
    def a_page_is_asked_for(self) -> None:
        self.ask_for_page()

    def ask_for_page(self, *, is_back: bool = False) -> None:
        known = self.marks.known(ACME)
        if self.page is None and known is not None:
            self.tick()
            after = max(0, known - PAGE) if is_back else known
            self.page = Asked(self.now, after=after, head=known, epoch=self.marks.epoch, is_back=is_back)

    @precondition(lambda self: self.page and not self.page.state)
    @rule()
    def the_page_is_seen(self) -> None:
        assert self.page
        numbers = range(self.page.after + 1, min(self.page.after + PAGE, self.state.number) + 1)
        self.page.state = self.state
        self.page.commits = [(number, *self.state.log[number]) for number in numbers]

    @precondition(lambda self: self.page and self.page.state)
    @rule()
    def the_page_is_answered(self) -> None:
        self.tick()
        page, self.page = self.page, None
        assert page
        assert page.state
        if (self.marks.epoch, self.marks.known(ACME)) != (page.epoch, page.head) or page.state.epoch != page.epoch:
            return
        if page.is_back:
            start, commits = page.after, [each for each in page.commits if each[0] <= page.head]
            if len(commits) == page.head - start:
                unwhole = [number for number, _, is_whole in commits if not is_whole]
                start = max([start, *unwhole])
                self.marks.reach_back(ACME, start, [(number, rows) for number, rows, _ in commits if number > start])
            return
        for number, rows, is_whole in page.commits:
            self.marks.apply(ACME, number, rows, is_whole=is_whole)
        if len(page.commits) < PAGE:
            self.marks.confirm(ACME, page.after + len(page.commits), asked_at=page.asked_at)

    @rule()
    def the_relay_is_quick(self) -> None:
        self.heads_are_asked_for()
        while any(poll.state is None for poll in self.polls):
            self.the_poll_is_seen()
        while self.polls:
            self.the_poll_is_answered()
        for _ in range(3):
            if self.page and not self.page.state:
                self.the_page_is_seen()
            if self.page:
                self.the_page_is_answered()

    # The cache.

    @precondition(lambda self: len(self.fills) < 3)
    @rule()
    def a_read_begins(self) -> None:
        self.tick()
        self.marks.use(ACME, self.now)
        self.tick()
        self.fills.append(Asked(self.now))

    @precondition(lambda self: any(fill.state is None for fill in self.fills))
    @rule()
    def the_read_is_seen(self) -> None:
        next(fill for fill in self.fills if fill.state is None).state = self.state

    @precondition(lambda self: any(fill.state for fill in self.fills))
    @rule()
    def the_read_is_answered(self) -> None:
        self.tick()
        fill = next(fill for fill in self.fills if fill.state)
        self.fills.remove(fill)
        assert fill.state
        stamp = Stamp(fill.state.epoch, fill.state.number, fill.state.shared, fill.asked_at)
        if self.marks.learn(ACME, stamp):
            self.keep(stamp, fill.state)

    @rule()
    def a_read_is_quick(self) -> None:
        self.a_read_begins()
        while any(fill.state is None for fill in self.fills):
            self.the_read_is_seen()
        while self.fills:
            self.the_read_is_answered()

    @rule(ago=some.integers(0, 4))
    def another_process_leaves_an_entry(self, ago: int) -> None:
        state = self.states[max(0, len(self.states) - 1 - ago)]
        self.keep(Stamp(state.epoch, state.number, state.shared, -math.inf), state)

    def keep(self, stamp: Stamp, state: State) -> None:
        self.kept = [*self.kept[-7:], (stamp, state)]

    # The rule.

    def between(self, since: float) -> list[State]:
        """The states of any time from then until now."""
        found = [self.state]
        for state, following in zip(reversed(self.states[:-1]), reversed(self.states[1:]), strict=True):
            if following.at < since:
                break
            found.append(state)
        return found

    def own_at(self) -> float:
        """The last own commit. One of a life that nobody has noticed yet counts when it is noticed."""
        return max((at for epoch, at in self.own if epoch <= self.marks.epoch), default=-math.inf)

    def reached_at(self, number: int) -> float:
        """Since when this number is in the database, in the epoch that the watermarks are of."""
        reached = (each.at for each in self.states if each.epoch == self.marks.epoch and each.number >= number)
        return next(reached, math.inf)

    @invariant()
    def what_holds_was_true_within_the_lease_and_with_all_that_it_has_to_have(self) -> None:
        lease = self.now - LEASE
        own = max(lease, self.own_at())
        for at_least in {0, self.state.number, self.marks.known(ACME) or 0}:
            for stamp, kept in self.kept:
                for asked in QUESTIONS:
                    if self.marks.holds(
                        ACME, stamp, asked.tags, is_shared=asked.is_shared, at_least=at_least, now=self.now
                    ):
                        Truth.held += 1
                        since = max(own, self.reached_at(at_least)) if at_least else own
                        self.was_true(asked, kept, since, lease)
            if place := self.marks.place(ACME, at_least=at_least, now=self.now):
                since = max(own, self.reached_at(at_least)) if at_least else own
                assert any(place[0] == state.number for state in self.between(since)), place
                assert any(place[1] == state.shared for state in self.between(max(lease, self.own_shared_at))), place

    def was_true(self, asked: Question, kept: State, since: float, lease: float) -> None:
        def value(state: State) -> list[int]:
            return [state.values[tag] for tag in asked.tags]

        held = value(kept)
        assert any(held == value(state) for state in self.between(since)), (asked, kept)
        if asked.is_shared:
            shared = self.between(max(lease, self.own_shared_at))
            assert any(kept.shared_value == state.shared_value for state in shared), (asked, kept)
            both = self.between(lease)
            assert any((held, kept.shared_value) == (value(state), state.shared_value) for state in both), (asked, kept)


def play(examples: int) -> None:
    Truth.held = 0
    run_state_machine_as_test(Truth, settings=settings(max_examples=examples, stateful_step_count=60, deadline=None))
    assert Truth.held > 50 * examples


def test_what_holds_is_true_enough_whatever_happens_in_whatever_order() -> None:
    play(250)


@pytest.mark.soak
@pytest.mark.skipif("SOAK" not in os.environ, reason="full counts: make soak")
def test_the_same_at_length() -> None:
    play(3_000)
    print(f"\nwatermarks: 3000 random histories, {Truth.held} answers held, each of them true within the lease")
