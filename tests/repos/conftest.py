"""Niches, and brands and influencers as one thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from factories import Factory
from profiles import Profiles


@pytest.fixture
def add_niche(superuser: Any) -> Callable[[str], UUID]:
    """Makes a niche."""

    def add(name: str) -> UUID:
        id: UUID = superuser.execute("INSERT INTO app.niches (name) VALUES (%s) RETURNING id", (name,)).fetchone()[0]
        superuser.commit()
        return id

    return add


@pytest.fixture(params=["brand", "influencer"])
def profiles(request: pytest.FixtureRequest, new: Factory) -> Profiles:
    return Profiles(request.param, new)
