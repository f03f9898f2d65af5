"""/v1/seed"""

from __future__ import annotations

from pydantic import BaseModel

from service.api.call import Call
from service.errors import NotFound
from service.http import answers
from service.http.answers import Entity
from service.operations import seeding


class Seeded(BaseModel):
    """What the seed has done, in lines of text."""

    lines: list[str]


async def niches(call: Call) -> Entity[Seeded]:
    """Run the niche seed, which is allowed only in development."""
    if call.state["settings"].environment != "development":
        raise NotFound("There is nothing here.")
    await call.state["limits"].hit("seeds", str(call.origin.ip))
    lines: list[str] = []
    await seeding.seed(call.state["settings"], "base", lines.append)
    call.state["watermarks"].doubt_shared()
    return answers.entity(Seeded, Seeded(lines=lines))
