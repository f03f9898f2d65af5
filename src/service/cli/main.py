"""The entry point of `quarry`: every failure, even one during the imports, gives an exit status and a one-line message."""

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
        # The imports take a while, and an exception that a signal raises during one may turn into another or get lost.
        # So a signal ends the process at once until they are done.
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
        # The imports read the files of SQL statements, and raise this for errors in them.
        status = 1
        print(f"quarry: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""), file=sys.stderr)
    except OSError as error:
        status = 1
        print(f"quarry: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        _silence()
    sys.exit(status)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """End the process at once: this is the handler of signals while there is nothing to clean up yet."""
    os._exit(128 + number)


def _terminated(_: int, __: FrameType | None) -> NoReturn:
    """Exit with an exception, which ends every `with` block properly, so that nothing is left running."""
    sys.exit(TERMINATED)


def _silence() -> None:
    """Discard output that could not be written, so that the interpreter does not try again when it ends."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(sink, stream.fileno())
