"""/livez and /readyz"""

from __future__ import annotations

from starlette.responses import Response

from service.api import answers
from service.api.caller import Call
from service.health import is_ready


async def live(_: Call) -> Response:
    """The process runs."""
    return answers.document({"status": "ok"})


async def ready(call: Call) -> Response:
    """The process can serve: its database answers."""
    if await is_ready(call.state["database"]):
        return answers.document({"status": "ok"})
    return answers.document({"status": "unavailable", "failing": ["database"]}, 503)
