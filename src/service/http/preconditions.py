"""If-Match: the version that a change is meant for."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from service.errors import PreconditionRequired, StaleVersion
from service.http.inputs import Parsed

_VERSION = re.compile(r'"([1-9][0-9]{0,8})(?:\.([0-9a-f]{16}))?"\Z')


class Precondition:
    """If-Match, compared strongly (RFC 9110): a weak tag names no version, nor does anything unreadable.

    A tag is the version and the `mark` of the row (answers.py), or the version alone, as a body shows it. With the mark of
    another row or tenant it names no version either.
    """

    def __init__(self, headers: Sequence[str], mark: str | None = None) -> None:
        tags = [tag.strip() for header in headers for tag in header.split(",")]
        self.is_missing = not headers
        self.is_any = tags == ["*"]
        found = [match for tag in tags if (match := _VERSION.match(tag))]
        self.versions = frozenset(int(match[1]) for match in found if match[2] in (None, mark))

    @property
    def is_plain(self) -> bool:
        """Whether the statement's own version predicate says it all."""
        return self.is_any or len(self.versions) == 1

    @property
    def version(self) -> int | None:
        """The one version that a plain precondition names, None for any."""
        return None if self.is_any else next(iter(self.versions))

    def check(self, version: int) -> int | None:
        """The version that the statement must still find, None for any. Raises PreconditionRequired or StaleVersion."""
        if self.is_missing:
            raise PreconditionRequired
        if self.is_any:
            return None
        if not self.versions:
            raise StaleVersion("If-Match names no version of this row; send its ETag, quotes and all.")
        if version not in self.versions:
            raise StaleVersion
        return version


async def expected(find: Callable[[], Awaitable[Any]], change: Parsed[Any], precondition: Precondition) -> int | None:
    """The version that a change must still find, None for any; raises in the order 403, 404, 428, 412, 422.

    Costs a statement only when something is wrong, or when If-Match names several versions.
    """
    if change.error is None and precondition.is_plain:
        return precondition.version
    version = precondition.check((await find()).version)
    change.get()
    return version
