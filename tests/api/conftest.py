"""The application on this test's own database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from application import Api
from factories import Factory

from service.api.app import create_app
from service.settings import Settings


@pytest.fixture
async def api(settings: Settings, new: Factory) -> AsyncIterator[Api]:
    app = create_app(settings)
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(app.router.lifespan_context(app))
        yield Api(app, state, stack, new)
