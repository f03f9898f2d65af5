"""If-Match: a change is made only if the row still has the version that the client has seen."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from service.errors import PreconditionRequired, StaleVersion
from service.http.inputs import Parsed

_VERSION = re.compile(r'"([1-9][0-9]{0,8})(?:\.([0-9a-f]{16}))?"\Z')


class Precondition:
    """The header If-Match: the versions of a row that it allows. A weak or malformed tag allows none (RFC 9110).

    A tag is an ETag, which consists of a version and a `mark` that identifies the row and its tenant (answers.py), or just a
    version in quotes, which the client can take from a body. A tag with the mark of another row or tenant allows no version.
    """

    def __init__(self, headers: Sequence[str], mark: str | None = None) -> None:
        tags = [tag.strip() for header in headers for tag in header.split(",")]
        self.is_missing = not headers
        self.is_any = tags == ["*"]
        found = [match for tag in tags if (match := _VERSION.match(tag))]
        self.versions = frozenset(int(match[1]) for match in found if match[2] in (None, mark))

    @property
    def is_plain(self) -> bool:
        """Whether any version or exactly one is allowed. Then the statement that makes the change can check this by itself."""
        return self.is_any or len(self.versions) == 1

    @property
    def version(self) -> int | None:
        """The only version that is allowed, None if any version is. Must not be used if `is_plain` is false."""
        return None if self.is_any else next(iter(self.versions))

    def check(self, version: int) -> int | None:
        """Check the row's current `version`, and return the version that the row must have when it is changed (None for any).

        Raises PreconditionRequired if the request has no If-Match, StaleVersion if the version is not allowed.
        """
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
    """The version that the row must have when it is changed, None for any version. `change` is the body, `find` reads the row.

    If several errors apply, the first in the order 403, 404, 428, 412, 422 is raised. To save a statement, the row is read only
    if the body is not valid, or if If-Match is missing, allows no version, or lists several.
    """
    if change.error is None and precondition.is_plain:
        return precondition.version
    version = precondition.check((await find()).version)
    change.get()
    return version
