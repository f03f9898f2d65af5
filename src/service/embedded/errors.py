"""The class of errors of the embedded server, and functions that make their messages for the operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import OperatorError


class EmbeddedError(OperatorError):
    """The embedded server cannot be found, started, used or stopped."""


@contextmanager
def reported(directory: Path) -> Iterator[None]:
    """Turn an OSError of the block into an EmbeddedError. `directory` is the state directory of the server, for the message."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise EmbeddedError(
            f"the server of {directory} cannot be used: {error.strerror}{place}",
            "correct that, or set DATABASE_URL",
        ) from error


def reason(output: str) -> str:
    """Why a program of PostgreSQL failed: the last error message in its output, with the hint; without one, the last line."""
    failures = re.findall(r"\b((?:FATAL|PANIC|ERROR|error): .*)(?:\n.*\b(HINT: .*))?", output)
    if failures:
        return " ".join(failures[-1]).strip()
    return (output.strip() or "it printed nothing").splitlines()[-1]
