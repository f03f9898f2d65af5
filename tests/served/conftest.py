"""The service as a process, on this test's own database, with two tenants that have a row of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.serving import Service, serving
from service.settings.settings import Settings


@pytest.fixture
def service(settings: Settings, tmp_path: Path) -> Iterator[Service]:
    with serving(settings, tmp_path) as running:
        yield running


@pytest.fixture
async def acme(new: Factory) -> NewTenant:
    return await new.tenant("acme")


@pytest.fixture
async def globex(new: Factory) -> NewTenant:
    return await new.tenant("globex")
