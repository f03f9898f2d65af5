"""Positions: what names one, and that it names it in one way only."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.positions import PATTERN, Position, read

EPOCHS = st.integers(0, 10**9 - 1)
NUMBERS = st.integers(0, 10**18 - 1)


@given(EPOCHS, NUMBERS)
def test_a_position_is_read_back_from_its_text(epoch: int, number: int) -> None:
    position = Position(epoch, number)
    assert read(str(position)) == position


@given(st.text() | st.from_regex(r"\s?[+-]?\d{0,11}[-_]\s?\d{0,20}\s?", fullmatch=True))
def test_whatever_is_read_is_written_the_same_way(text: str) -> None:
    position = read(text)
    assert position is None or str(position) == text


@given(st.text() | st.from_regex(r"[0-9]{0,11}-[0-9]{0,20}\n?", fullmatch=True))
def test_the_published_pattern_allows_what_is_read(text: str) -> None:
    # JSON Schema's `$` is the end of the text, as `\Z` is here.
    assert (read(text) is not None) == (re.match(PATTERN.replace("$", r"\Z"), text) is not None)


@pytest.mark.parametrize(
    "text",
    [
        "", "-", "1", "1-", "-1", "1-1-1", "1--1", "+1-1", "1-+1", "1 -1", " 1-1", "1-1 ", "1-1\n", "01-1", "1-01", "1_0-1",
        "1.0-1", "1-1e3", "a-b", "١-١", "1‐1", "1-1\0", "1000000000-1", "1-1000000000000000000", "0x1-1", "9" * 5000 + "-1",
    ],
)  # fmt: skip
def test_garbage_is_no_position(text: str) -> None:
    assert read(text) is None


def test_positions_of_one_epoch_come_in_the_order_of_their_numbers() -> None:
    assert sorted([Position(2, 1), Position(1, 10), Position(1, 9)]) == [(1, 9), (1, 10), (2, 1)]
