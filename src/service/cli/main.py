"""The entry point of the program `quarry`. It reports expected errors by a message and the exit status, without a traceback.

This includes errors that occur while the modules of the commands are imported.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from service.errors import OperatorError

TERMINATED = 128 + signal.SIGTERM


def main() -> NoReturn:
    """Run the command and exit. For an expected error, print one line and, if there is one, a remedy instead of a traceback."""
    status = 130
    try:
        # During the imports, let SIGINT and SIGTERM end the process at once. If their handler raised an exception instead, the
        # module that is being imported could catch it, or raise a different exception in its place.
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
        # This error comes from the imports: they read the files with SQL statements, and there is a mistake in such a file.
        status = 1
        print(f"quarry: {error.message}" + (f"\n  → {error.remedy}" if error.remedy else ""), file=sys.stderr)
    except OSError as error:
        status = 1
        print(f"quarry: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        _silence()
    sys.exit(status)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    """Signal handler during the imports: end the process at once. There is nothing to clean up yet."""
    os._exit(128 + number)


def _terminated(_: int, __: FrameType | None) -> NoReturn:
    """Signal handler while a command runs: raise SystemExit, so that every `with` block does its clean-up."""
    sys.exit(TERMINATED)


def _silence() -> None:
    """Discard output that could not be written. Otherwise the interpreter would try to write it once more at its exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(sink, stream.fileno())
