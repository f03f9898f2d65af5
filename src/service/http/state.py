"""The objects that all requests share while the application runs. `lifespan` in api/app.py opens and closes them."""

from __future__ import annotations

from typing import TypedDict

from service.accounts.one_time_codes import CodeSender
from service.accounts.passwords import Passwords
from service.cache.watermarks import Watermarks
from service.changes.feed import Feed
from service.database.database import Database
from service.engine import EngineWork
from service.http.limits import Limits
from service.http.quota import Quota
from service.http.ready import ReadyAnswers
from service.http.shares import Shares
from service.operations.health import Health
from service.operations.upkeep import Upkeep
from service.settings.settings import Settings


class State(TypedDict):
    """The shared objects, by name. Starlette gives them to each request: `request.state["database"]` is the database."""

    settings: Settings
    database: Database
    kind: type[EngineWork]
    """The class of the units of work (transactions) of requests: Work, which has all repositories of this service."""
    passwords: Passwords
    limits: Limits
    upkeep: Upkeep
    quota: Quota
    shares: Shares
    ready: ReadyAnswers
    sender: CodeSender | None
    watermarks: Watermarks
    feed: Feed
    health: Health
    revision: str
