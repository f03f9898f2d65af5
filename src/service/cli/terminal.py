"""The terminal: what a command says and asks there, and how it waits for its work."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from service.errors import OperatorError
from service.texts import printable

T = TypeVar("T")


def say(message: str) -> None:
    """Print a message for the person at the terminal. It goes to stderr, because stdout is only for data."""
    # If there is no stderr, print would write to stdout.
    if sys.stderr is not None:
        print(printable(message), file=sys.stderr, flush=True)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine from a command."""
    return asyncio.run(work)


def first_few(found: Sequence[object], most: int) -> list[str]:
    """The first `most` items as texts for a message and, if there are more, how many more."""
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return [*map(str, found[:most]), *more]


def confirm(what: str, *, yes: bool) -> None:
    """Ask before something is lost; `--yes` answers for scripts. Raises OperatorError unless the answer is yes."""
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise OperatorError(f"this {what}, and there is nobody to ask", "add --yes to do it unasked")
    print(f"This {what}. Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise OperatorError("nothing was done")
