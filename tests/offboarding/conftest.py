"""A database of two tenants for each test."""

from __future__ import annotations

from typing import Any

import pytest

from arranging.offboarding_rows import Stock
from arranging.offboarding_rows import stock as stocked
from service.settings.settings import Settings


@pytest.fixture
async def stock(settings: Settings, superuser: Any) -> Stock:
    """Rows of two tenants in every table; `a` is the one that leaves."""
    return await stocked(settings, superuser)
