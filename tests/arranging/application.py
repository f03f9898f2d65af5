"""The application itself, called without a socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import httpx

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.repos.users import User

R = TypeVar("R")


class Api:
    """Clients of the running application; a client sends its caller's token.

    They get an answer once it is whole, so they leave a change stream after its first event.
    """

    def __init__(self, app: Any, state: Any, stack: AsyncExitStack, new: Factory) -> None:
        self.app, self.state, self.stack, self.new = app, state, stack, new

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        scope["state"] = dict(self.state)
        if scope["path"] == "/v1/changes/stream":
            receive, send = _leaving(send)
        await self.app(scope, receive, send)

    async def client(
        self, tenant: NewTenant | None = None, user: User | None = None, **headers: str
    ) -> httpx.AsyncClient:
        """A client signed in as the tenant's owner, as `user`, or as nobody."""
        if tenant is not None:
            headers["Authorization"] = f"Bearer {await self.new.token(tenant, user)}"
        transport = httpx.ASGITransport(self, client=("192.0.2.7", 4711))
        return await self.stack.enter_async_context(
            httpx.AsyncClient(transport=transport, base_url="http://quarry.test", headers=headers)
        )


def _leaving(send: Any) -> tuple[Any, Any]:
    """A client that goes away when it has got the first event."""
    has_enough = asyncio.Event()

    async def leave() -> Any:
        await has_enough.wait()
        return {"type": "http.disconnect"}

    async def send_noting(message: Any) -> None:
        await send(message)
        if b"event: " in message.get("body", b""):
            has_enough.set()

    return leave, send_noting


async def until(ask: Callable[[], Awaitable[R]], holds: Callable[[R], Any]) -> R:
    """The first answer of `ask` that holds. What others have committed is seen within a second; half a minute must do."""
    async with asyncio.timeout(30):
        while not holds(answer := await ask()):
            await asyncio.sleep(0.02)
    return answer


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document of an answer, which must be of this status and code and have every member."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = answer.json()
    assert (content["code"], content["status"]) == (code, status), content
    assert content["type"] == f"urn:quarry:error:{code}"
    assert content["title"]
    assert content["detail"]
    assert content["request_id"] == answer.headers["request-id"]
    assert set(content) <= {"type", "title", "status", "code", "detail", "request_id", "errors", "field"}
    return content


def wrong_fields(answer: httpx.Response) -> list[str]:
    """The fields that an `invalid_input` names, each of them with a message."""
    errors = problem(answer, 422, "invalid_input")["errors"]
    assert all(set(error) == {"field", "message"} and error["message"] for error in errors)
    return [error["field"] for error in errors]


def version_of(answer: httpx.Response) -> int:
    """The version that an entity's ETag names; beside it stands the mark of tenant and row."""
    match = re.fullmatch(r'"([0-9]+)\.[0-9a-f]{16}"', answer.headers["etag"])
    assert match is not None, answer.headers["etag"]
    return int(match[1])
