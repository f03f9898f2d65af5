"""/openapi.json and /docs"""

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
    """The document, and the page that shows it; made once, when the application is."""

    openapi: bytes
    page: bytes
    revision: str
    """Tells releases apart whose answers may look different."""

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint]) -> Self:
        """The reference of these endpoints."""
        return cls(*_made(tuple(endpoints)))


@functools.cache
def _made(endpoints: tuple[Endpoint, ...]) -> tuple[bytes, bytes, str]:
    """Once for the same endpoints: an application is made more often than its endpoints change, as in tests."""
    made = document(endpoints)
    text = to_json(made)
    return text, manual.render(made).encode(), hashlib.sha256(text).hexdigest()[:16]


async def openapi(call: Call[Any]) -> Answer:
    """The OpenAPI 3.1 document of this service."""
    return Answer(call.request.app.state.reference.openapi)


async def docs(call: Call[Any]) -> Text:
    """The same for people."""
    return Text(
        call.request.app.state.reference.page, media_type="text/html", headers={"Content-Security-Policy": _POLICY}
    )
