"""Handlers of /livez and /readyz: whether the process runs, and whether it can serve requests."""

from __future__ import annotations

from pydantic_core import to_json

from service.api.call import Call
from service.http.answers import Answer


async def live(_: Call) -> Answer:
    """Liveness probe: the process is running."""
    return Answer(to_json({"status": "ok"}))


async def ready(call: Call) -> Answer:
    """Readiness probe: the process can serve requests.

    The process is not stopping, and its database responds, accepts writes (or is in maintenance mode), and has the migrations
    that this version of the service needs. Otherwise the status is 503.
    """
    if failing := await call.state["health"].failing():
        return Answer(to_json({"status": "unavailable", "failing": failing}), 503)
    return Answer(to_json({"status": "ok"}))
