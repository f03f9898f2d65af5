"""Every answer that a test of the API gets is compared with the OpenAPI document: status, codes, headers and body."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import MutableMapping
from typing import Any

import jsonschema_rs

from service.api.routes import ENDPOINTS
from service.http.openapi import document

DOCUMENT = document(ENDPOINTS)
_PLACES = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"), path) for path in DOCUMENT["paths"]]


class Documented:
    """The application; `surprises` are the answers of its documented operations that the document does not tell of."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.surprises: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        start: MutableMapping[str, Any] = {}
        body = bytearray()

        async def noting(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            body.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, noting)
        method = "get" if scope["method"] == "HEAD" else scope["method"].lower()
        path = next((path for pattern, path in _PLACES if pattern.match(scope["path"])), "")
        if start and method in DOCUMENT["paths"].get(path, {}):
            headers = {name.decode(): value.decode() for name, value in start["headers"]}
            shown = None if scope["method"] == "HEAD" else bytes(body)
            if surprise := surprise_of(method, path, start["status"], headers, shown):
                self.surprises.append(f"{scope['method']} {path} {start['status']}: {surprise}\n{bytes(body)[:500]!r}")


def surprise_of(method: str, path: str, status: int, headers: dict[str, str], body: bytes | None) -> str | None:
    """What the document does not say of an answer; None when it says it all. The body of a HEAD is None."""
    answer = DOCUMENT["paths"][path][method]["responses"].get(str(status))
    if answer is None:
        return "this status is not documented"
    known = {"content-type", "content-length", "allow", "retry-after", "www-authenticate", "content-security-policy"}
    known |= {"cache-control"}
    known |= {"x-accel-buffering"} if "event-stream" in headers.get("content-type", "") else set()
    known |= {name.lower() for name in answer.get("headers", {})}
    if undocumented := [
        name for name in headers if name not in known and not name.startswith(("access-control-", "vary"))
    ]:
        return f"headers {undocumented} are not documented"
    promised = {name.lower() for name in answer.get("headers", {})} - {"idempotency-replayed"}
    if missing := sorted(promised - headers.keys()):
        return f"headers {missing} are promised"
    media = headers.get("content-type", "").partition(";")[0]
    if not answer.get("content"):
        return "this has a body" if body else None
    kind = media if media in answer["content"] else "*/*"
    if kind not in answer["content"]:
        return f"{media} is not documented"
    if body is None or "json" not in media:
        return None
    errors = [error.message for error in _validator(path, method, status, kind).iter_errors(json.loads(body))]
    return "; ".join(errors[:3]) or None


@functools.cache
def _validator(path: str, method: str, status: int, kind: str) -> Any:
    """The schema of an answer's body, with the components that it refers to."""
    schema = DOCUMENT["paths"][path][method]["responses"][str(status)]["content"][kind]["schema"]
    return jsonschema_rs.Draft202012Validator({**schema, "components": DOCUMENT["components"]}, validate_formats=True)
