"""If-Match: a change is made only if the row still has the version that the client has seen."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from service.errors import PreconditionRequired, StaleVersion
from service.http.inputs import Parsed

_VERSION = re.compile(r'"([1-9][0-9]{0,8})(?:\.([0-9a-f]{16}))?"\Z')


class Precondition:
    """The If-Match header, with strong comparison (RFC 9110): a weak or malformed tag matches no version.

    A tag consists of the version and the `mark` of the row (answers.py), or of the version alone, which the client can take
    from a body. A tag with the mark of another row or tenant matches no version either.
    """

    def __init__(self, headers: Sequence[str], mark: str | None = None) -> None:
        tags = [tag.strip() for header in headers for tag in header.split(",")]
        self.is_missing = not headers
        self.is_any = tags == ["*"]
        found = [match for tag in tags if (match := _VERSION.match(tag))]
        self.versions = frozenset(int(match[1]) for match in found if match[2] in (None, mark))

    @property
    def is_plain(self) -> bool:
        """Whether the statement that makes the change can check the precondition: it allows any version, or exactly one."""
        return self.is_any or len(self.versions) == 1

    @property
    def version(self) -> int | None:
        """The version that a precondition with `is_plain` allows, None if it allows any version."""
        return None if self.is_any else next(iter(self.versions))

    def check(self, version: int) -> int | None:
        """Check the row's current `version`. Returns the version that the row must still have when changed, None for any.

        Raises PreconditionRequired or StaleVersion.
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
    """The version that the row must have when it is changed, None for any version.

    If several errors apply, the first in the order 403, 404, 428, 412, 422 is raised. `find` reads the row.
    That costs a statement, so it is called only if something is wrong or If-Match lists several versions.
    """
    if change.error is None and precondition.is_plain:
        return precondition.version
    version = precondition.check((await find()).version)
    change.get()
    return version
