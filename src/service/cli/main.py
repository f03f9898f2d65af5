"""The entry point of `quarry`: an exit status and one line for every failure, from the first import on."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from service.errors import OperatorError

TERMINATED = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Run the command and exit; a user's mistake gets one line and a remedy, never a traceback."""
    status = 130
    try:
        # The imports take a while. An exception in the middle of one may come out as any other, or not at all.
        signal.signal(signal.SIGINT, _leave)
        signal.signal(signal.SIGTERM, _leave)
        from service.cli.commands import run  # noqa: PLC0415

        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, _terminated)
        status = run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        status = 1
        _silence()
    except OperatorError as error:
        # The files of statements are read by the imports.
        status = 1
        print(f"quarry: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""), file=sys.stderr)
    except OSError as error:
        status = 1
        print(f"quarry: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        _silence()
    sys.exit(status)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """Leave at once, while there is nothing to clean up."""
    os._exit(128 + number)


def _terminated(_: int, __: FrameType | None) -> NoReturn:
    """An exit that runs every `with` on its way, so that nothing is left running."""
    sys.exit(TERMINATED)


def _silence() -> None:
    """Discard output that could not be written, so that the interpreter does not try again when it ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(sink, stream.fileno())
