"""The handlers of /openapi.json and /docs, and the texts that they serve."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic_core import to_json

from service.http import manual
from service.http.answers import Answer, Text
from service.http.call import Call
from service.http.endpoints import Endpoint
from service.http.openapi import document

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@dataclass(frozen=True)
class ApiReference:
    """The OpenAPI document and the HTML page made from it. Both are made once, when the application is created."""

    openapi: bytes
    page: bytes
    revision: str
    """A hash of the OpenAPI document. ETags of pages depend on it, so that they change if a release adds or removes fields."""

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint]) -> Self:
        """The OpenAPI document and the HTML page of these endpoints."""
        return cls(*_made(tuple(endpoints)))


@functools.cache
def _made(endpoints: tuple[Endpoint, ...]) -> tuple[bytes, bytes, str]:
    """The values of the three fields of ApiReference. They are cached, because tests create many applications with the same
    endpoints.
    """
    made = document(endpoints)
    text = to_json(made)
    return text, manual.render(made).encode(), hashlib.sha256(text).hexdigest()[:16]


async def openapi(call: Call[Any]) -> Answer:
    """The OpenAPI 3.1 document of this service."""
    return Answer(call.request.app.state.reference.openapi)


async def docs(call: Call[Any]) -> Text:
    """The documentation of this API as an HTML page."""
    return Text(
        call.request.app.state.reference.page, media_type="text/html", headers={"Content-Security-Policy": _POLICY}
    )
