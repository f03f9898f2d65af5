"""A tenant, what a process knows of it, and a consumer of its commits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from arranging.accounts import NewTenant
from changes.followers import relaying
from changes.mail import WEEK, Mail
from service.changes import consumers
from service.changes.consumers import Consumers
from service.changes.relay import Relay
from service.changes.ring import Ring
from service.database.database import Database
from service.settings.settings import Settings
from service.work import Work


@pytest.fixture
async def relay(settings: Settings, acme: NewTenant) -> AsyncIterator[Relay]:
    async with relaying(settings) as opened:
        yield opened


@pytest.fixture
async def ring(relay: Relay, acme: NewTenant) -> AsyncIterator[Ring]:
    """The stream of acme, from now on."""
    async with relay.ring(acme.id) as opened:
        yield opened


@pytest.fixture
def mail() -> Mail:
    return Mail()


@pytest.fixture
def one(database: Database, mail: Mail) -> Consumers:
    """A process whose consumer moves when it is told to."""
    return Consumers(database, [mail.consumer], WEEK, datetime.now(UTC), Work)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks and pauses that a test can wait for."""
    for name, seconds in (("_EVERY", 0.01), ("_SWEEP_EVERY", 0.05), ("_FIRST_PAUSE", 0.1)):
        monkeypatch.setattr(consumers, name, seconds)
