"""The service behind PgBouncer: every connection of the serving and the platform role goes through it."""

from __future__ import annotations

import pytest

from arranging.bouncer import Bouncer, through
from service.settings.settings import Settings


@pytest.fixture
def pooled(settings: Settings, bouncer: Bouncer) -> Settings:
    """Settings of this test's own database, serving and platform role through the pooler."""
    return through(bouncer, settings)
