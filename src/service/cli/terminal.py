"""Helper functions for commands: print messages, ask for confirmation, and run coroutines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from service.errors import OperatorError
from service.texts import printable

T = TypeVar("T")


def say(message: str) -> None:
    """Print a message for the user to stderr, because stdout is only for data."""
    # Print nothing if there is no stderr: with `file=None`, print would write to stdout.
    if sys.stderr is not None:
        print(printable(message), file=sys.stderr, flush=True)


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, and return its result."""
    return asyncio.run(work)


def first_few(found: Sequence[object], most: int) -> list[str]:
    """The first `most` items of `found` as strings, for a message. If there are more items, a last string says how many."""
    more = [f"and {len(found) - most} more"] if len(found) > most else []
    return [*map(str, found[:most]), *more]


def confirm(what: str, *, yes: bool) -> None:
    """Ask whether to go on before data is lost or replaced; with `yes`, do not ask. `what` completes a sentence: "This …".

    Raises OperatorError if the answer is not yes, or if there is no terminal to ask at.
    """
    if yes:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise OperatorError(f"this {what}, and there is nobody to ask", "add --yes to do it unasked")
    print(f"This {what}. Type yes to go on: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise OperatorError("nothing was done")
