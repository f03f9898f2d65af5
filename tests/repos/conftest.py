"""Niches, brands and influencers as one thing, and who waits for whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from arranging.factories import Factory
from arranging.profile_kinds import Profiles


@pytest.fixture
def add_niche(superuser: Any) -> Callable[[str], UUID]:
    """Makes a niche."""

    def add(name: str) -> UUID:
        id: UUID = superuser.execute("INSERT INTO app.niches (name) VALUES (%s) RETURNING id", (name,)).fetchone()[0]
        superuser.commit()
        return id

    return add


@pytest.fixture
def until_blocked(superuser: Any) -> Callable[[], Awaitable[None]]:
    """Waits until a transaction waits for another one's lock."""
    text = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    async def wait() -> None:
        async with asyncio.timeout(30):
            while superuser.execute(text).fetchone() == (0,):
                superuser.rollback()
                await asyncio.sleep(0.01)
        superuser.rollback()

    return wait


@pytest.fixture(params=["brand", "influencer"])
def profiles(request: pytest.FixtureRequest, new: Factory) -> Profiles:
    return Profiles(request.param, new)
