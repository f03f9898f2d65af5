"""The handler of /v1/seed/niches, which inserts niches during development."""

from __future__ import annotations

from pydantic import BaseModel

from service.api.call import Call
from service.errors import NotFound
from service.http import answers
from service.http.answers import Entity
from service.operations import seeding


class Seeded(BaseModel):
    """The lines that the seed has printed about its progress."""

    lines: list[str]


async def niches(call: Call) -> Entity[Seeded]:
    """Insert the niches of the base data. This is possible only in development."""
    if call.state["settings"].environment != "development":
        raise NotFound("There is nothing here.")
    await call.state["limits"].hit("seeds", str(call.origin.ip))
    lines: list[str] = []
    await seeding.seed(call.state["settings"], "base", lines.append)
    call.state["watermarks"].doubt_shared()
    return answers.entity(Seeded, Seeded(lines=lines))
