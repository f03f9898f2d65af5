"""Watermarks against a model that knows the truth: what holds is true enough, whatever happens in whatever order."""

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

from service.cache import watermarks
from service.cache.watermarks import LEASE, Stamp, Tag, Touched, Watermarks

ACME = uuid4()
A0, A1, B0 = UUID(int=1), UUID(int=2), UUID(int=3)
NOW = 1000.0


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
