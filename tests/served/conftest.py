"""The service as a process, on this test's own database, with two tenants that have a row of every kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from arranging.serving import Service, serving
from service.settings.settings import Settings


@pytest.fixture
def service(settings: Settings, tmp_path: Path) -> Iterator[Service]:
    with serving(settings, tmp_path) as running:
        yield running
