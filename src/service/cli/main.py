"""The entry point of `quarry`. It turns expected errors, even those during the imports, into an exit status and a message."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from service.errors import OperatorError

TERMINATED = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Run the command and exit. For a user's mistake, it prints one line and a remedy instead of a traceback."""
    status = 130
    try:
        # During the imports a signal ends the process at once. If its handler raised an exception instead, the module that is
        # being imported could catch that exception, or raise another one in its place.
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
        # The imports read the files with SQL statements, and raise OperatorError for mistakes in these files.
        status = 1
        print(f"quarry: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""), file=sys.stderr)
    except OSError as error:
        status = 1
        print(f"quarry: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        _silence()
    sys.exit(status)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """Signal handler for the time of the imports: end the process at once, because there is nothing to clean up yet."""
    os._exit(128 + number)


def _terminated(_: int, __: FrameType | None) -> NoReturn:
    """Signal handler while a command runs: raise SystemExit, so that every `with` block is left and cleans up."""
    sys.exit(TERMINATED)


def _silence() -> None:
    """Discard output that could not be written; otherwise the interpreter would try to write it again when it exits."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(sink, stream.fileno())
