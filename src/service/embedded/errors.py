"""The errors of the embedded server, with messages for the operator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from service.errors import OperatorError


class EmbeddedError(OperatorError):
    """The embedded server cannot be used."""


@contextmanager
def reported(directory: Path) -> Iterator[None]:
    """Turn an error of the operating system into an EmbeddedError."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise EmbeddedError(
            f"the server of {directory} cannot be used: {error.strerror}{place}",
            "correct that, or set DATABASE_URL",
        ) from error


def reason(output: str) -> str:
    """The last error message in PostgreSQL's output, with its hint; without an error message, the last line."""
    failures = re.findall(r"\b((?:FATAL|PANIC|ERROR|error): .*)(?:\n.*\b(HINT: .*))?", output)
    if failures:
        return " ".join(failures[-1]).strip()
    return (output.strip() or "it printed nothing").splitlines()[-1]
