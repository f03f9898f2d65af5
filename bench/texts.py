"""The three statements that everybody sends: Quarry's own, out of sql/queries/."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from service.repos.campaigns import Campaigns
from service.repos.sessions import Sessions

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;SET LOCAL app.tenant_id = '{}'"
"""The binding that Quarry sends as one message."""
LIST = 50
"""Rows of a list; one more is fetched, which tells whether there is a next page."""


class Text(NamedTuple):
    """A statement as asyncpg takes it: `$n`, and which parameter each is."""

    sql: str
    parameters: tuple[str, ...]

    def values(self, **named: object) -> list[object]:
        """The values in the order of the text."""
        return [named[name] for name in self.parameters]

    def named(self) -> str:
        """The same text with `:name` parameters, for aiosql."""
        return re.sub(r"\$(\d+)", lambda match: f":{self.parameters[int(match[1]) - 1]}", self.sql)


def _text(method: Any) -> Text:
    variant = method.statement.variants[0]
    return Text(variant.text, variant.parameters)


FIND = _text(Campaigns.find)
PAGE = _text(Campaigns.page)
AUTHENTICATE = _text(Sessions.authenticate)
