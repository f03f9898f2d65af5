"""/livez and /readyz"""

from __future__ import annotations

from pydantic_core import to_json

from service.api.answers import Answer
from service.api.caller import Call
from service.health import is_ready


async def live(_: Call) -> Answer:
    """The process runs."""
    return Answer(to_json({"status": "ok"}))


async def ready(call: Call) -> Answer:
    """The process can serve: its database answers."""
    if await is_ready(call.state["database"]):
        return Answer(to_json({"status": "ok"}))
    return Answer(to_json({"status": "unavailable", "failing": ["database"]}), 503)
