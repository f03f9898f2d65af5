"""The application on this test's own database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest

from application import Api
from factories import Factory, NewTenant
from service.api.app import create_app
from service.settings import Settings


@pytest.fixture
async def api(settings: Settings, new: Factory) -> AsyncIterator[Api]:
    app = create_app(settings)
    async with AsyncExitStack() as stack:
        state = await stack.enter_async_context(app.router.lifespan_context(app))
        yield Api(app, state, stack, new)


@pytest.fixture
async def acme(new: Factory) -> NewTenant:
    return await new.tenant("acme")


@pytest.fixture
async def globex(new: Factory) -> NewTenant:
    return await new.tenant("globex")


@pytest.fixture
def add_niche(superuser: Any) -> Callable[..., UUID]:
    """Makes a niche, as nobody can over HTTP."""

    def add(name: str, *, is_active: bool = True) -> UUID:
        statement = "INSERT INTO app.niches (name, is_active) VALUES (%s, %s) RETURNING id"
        id = superuser.execute(statement, (name, is_active)).fetchone()[0]
        superuser.commit()
        return id

    return add
