"""Positions in a tenant's log of commits, written `<epoch>-<number>`. The HTTP header `Consistency` contains a position."""

from __future__ import annotations

import re
from typing import NamedTuple

_POSITION = re.compile(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})\Z")
PATTERN = r"^(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,17})$"


class Position(NamedTuple):
    """The place in the log right after the commit with the number `number` in the epoch `epoch`."""

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.number}"


def read(text: str) -> Position | None:
    """Parse `text` as a position; None if it is not written like one."""
    match = _POSITION.match(text)
    return None if match is None else Position(int(match[1]), int(match[2]))
