"""What the running application holds; opened once by the lifespan in app.py."""

from __future__ import annotations

from typing import TypedDict

from service.api.limits import Limits
from service.api.quota import Quota
from service.api.shares import Shares
from service.changes.feed import Feed
from service.codes import CodeSender
from service.database import Database
from service.health import Health
from service.passwords import Passwords
from service.settings import Settings
from service.upkeep import Upkeep
from service.watermarks import Watermarks


class State(TypedDict):
    """Typed lifespan state: `request.state["database"]`."""

    settings: Settings
    database: Database
    passwords: Passwords
    limits: Limits
    upkeep: Upkeep
    quota: Quota
    shares: Shares
    sender: CodeSender | None
    watermarks: Watermarks
    feed: Feed
    health: Health
    revision: str
