"""What the running application holds; opened once by the lifespan in app.py."""

from __future__ import annotations

from typing import TypedDict

from service.database import Database
from service.passwords import Passwords
from service.settings import Settings


class State(TypedDict):
    """Typed lifespan state: `request.state["database"]`."""

    settings: Settings
    database: Database
    passwords: Passwords
    epoch: int
