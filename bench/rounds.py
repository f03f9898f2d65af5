"""Rounds: contenders measured one after the other again and again, and what the medians of their ratios are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Plan:
    """How often everybody has a turn, and how long it is."""

    rounds: int
    seconds: float
    inner_rounds: int
    """Rounds of the measurement inside the process."""
    calls: int
    """Calls of a turn there."""

    def turns(self, labels: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The order of each round; another one begins each time."""
        return _turns(labels, self.rounds)

    def inner_turns(self, labels: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The same for the measurement inside the process."""
        return _turns(labels, self.inner_rounds)


def _turns(labels: tuple[str, ...], rounds: int) -> Iterator[tuple[str, ...]]:
    for number in range(rounds):
        first = number % len(labels)
        yield labels[first:] + labels[:first]


class Samples:
    """One figure of every contender for every round, and how many operations were measured in all."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.figures: dict[str, list[float]] = {label: [] for label in labels}
        self.counts = dict.fromkeys(labels, 0)
        self.cpu = dict.fromkeys(labels, 0.0)

    def add(self, label: str, figure: float, count: int, cpu: float = 0.0) -> None:
        """The contender's figure in this round, of so many operations and so many seconds of its CPU."""
        self.figures[label].append(figure)
        self.counts[label] += count
        self.cpu[label] += cpu

    def cost(self, label: str) -> float:
        """Microseconds of the contender's own CPU per operation; 0 where that is not known."""
        return self.cpu[label] / self.counts[label] * 1e6

    def median(self, label: str) -> float:
        """The contender's own median."""
        return median(self.figures[label])

    def ratio(self, label: str, other: str) -> float:
        """The median of `label` / `other` round by round: what slows a whole round down falls out of it."""
        pairs = zip(self.figures[label], self.figures[other], strict=True)
        return median(mine / theirs for mine, theirs in pairs)

    def spread(self, label: str, other: str) -> tuple[float, float]:
        """The middle half of the same ratios."""
        ratios = sorted(mine / theirs for mine, theirs in zip(self.figures[label], self.figures[other], strict=True))
        return ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
