"""The application on this test's own database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from arranging.application import Api
from arranging.documented import Documented
from arranging.factories import Factory
from service.api.app import create_app
from service.api.routes import ENDPOINTS
from service.http.endpoints import Endpoint
from service.settings.settings import Settings

Serve = Callable[..., Awaitable[Api]]


@pytest.fixture
async def serve(settings: Settings, new: Factory) -> AsyncIterator[Serve]:
    """Starts the application with some settings changed: `api = await serve(environment="production")`."""
    served: list[Documented] = []
    async with AsyncExitStack() as stack:

        async def start(endpoints: Sequence[Endpoint] = ENDPOINTS, **changes: Any) -> Api:
            app = create_app(settings.model_copy(update=changes), endpoints)
            state = await stack.enter_async_context(app.router.lifespan_context(app))
            served.append(Documented(app))
            return Api(served[-1], state, stack, new)

        yield start
    assert not [surprise for each in served for surprise in each.surprises]


@pytest.fixture
async def api(serve: Serve) -> Api:
    return await serve()


@pytest.fixture
def add_niche(superuser: Any) -> Callable[..., UUID]:
    """Makes a niche, as nobody can over HTTP."""

    def add(name: str, *, is_active: bool = True) -> UUID:
        statement = "INSERT INTO app.niches (name, is_active) VALUES (%s, %s) RETURNING id"
        id = superuser.execute(statement, (name, is_active)).fetchone()[0]
        superuser.commit()
        return id

    return add
