"""Where `sql/` and `seeds/` are: inside the installed package, or in the checkout of an editable install."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def sql(*parts: str) -> Path:
    """A path under `sql/`."""
    return _root("sql").joinpath(*parts)


def seeds(*parts: str) -> Path:
    """A path under `seeds/`."""
    return _root("seeds").joinpath(*parts)


def is_packaged() -> bool:
    """Whether they are inside the installed package, where nobody writes."""
    return (_PACKAGE / "sql").is_dir()


def _root(name: str) -> Path:
    packaged = _PACKAGE / name
    return packaged if packaged.is_dir() else _CHECKOUT / name


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Wait for whoever else works on the directory in this way, and keep others waiting: of two at once, one undoes the other."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
