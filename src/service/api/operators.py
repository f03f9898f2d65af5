"""Handlers of /healthz and /metrics, for operators. If the setting OPERATOR_TOKEN is given, a request to these paths needs one of
its tokens as bearer token.
"""

from __future__ import annotations

import secrets

from prometheus_client import CONTENT_TYPE_LATEST
from pydantic_core import to_json

from service.api.call import Call
from service.errors import NotFound, Unauthorized
from service.http.answers import Answer, Text
from service.metrics import exposition


async def report(call: Call) -> Answer:
    """The result of each health check, by name. The status is 503 if a check fails."""
    await _admit(call)
    checks = await call.state["health"].report()
    failing = [name for name, check in checks.items() if not check["ok"]]
    status = "unavailable" if failing else "ok"
    return Answer(to_json({"status": status, "failing": failing, "checks": checks}), 503 if failing else 200)


async def metrics(call: Call) -> Text:
    """The metrics of this process, for Prometheus."""
    await _admit(call)
    return Text(exposition(), headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _admit(call: Call) -> None:
    """Raise Unauthorized if the bearer token is missing or wrong, RateLimited after too many wrong tokens.

    If the setting OPERATOR_TOKEN is not given, nobody is admitted in production (NotFound), and everybody elsewhere.
    """
    settings = call.state["settings"]
    if not settings.operator_token:
        if settings.environment == "production":
            raise NotFound("There is nothing here.")
        return
    # Starlette has decoded the header as Latin-1. Encoding it again gives the bytes that the client has sent.
    given = call.bearer().encode("latin-1")
    # The token is compared with all valid ones even after a match, so that the time does not show which one it matches.
    if not sum(secrets.compare_digest(given, each.get_secret_value().encode()) for each in settings.operator_token):
        await call.state["limits"].hit("operator", str(call.origin.ip))
        raise Unauthorized
