"""Structured logs on stderr: JSON in production and staging, readable lines elsewhere."""

from __future__ import annotations

import logging
import sys

import structlog
from prometheus_client import Histogram
from pydantic_core import to_json
from structlog.typing import EventDict, Processor

from service.metrics import STATEMENTS, Observer
from service.settings.database import DatabaseSettings
from service.texts import printable

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.statements")


def configure(settings: DatabaseSettings) -> None:
    """Set up structlog for this process."""
    served = settings.environment in ("production", "staging")
    level = logging.DEBUG if settings.database_debug and settings.environment != "production" else logging.INFO
    renderer: Processor = (
        structlog.processors.JSONRenderer(_rendered) if served else structlog.dev.ConsoleRenderer(colors=False)
    )
    # asyncpg's pool logs a warning with a traceback at each failed attempt to connect. Such warnings are not logged:
    # database_lost and database_recovered (database/pool.py) report the failure once.
    logging.getLogger("asyncpg").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _visible,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _visible(_: object, __: str, event: EventDict) -> EventDict:
    """Replace control characters and invisible characters in the values of a log line.

    Text from outside (paths, addresses, names) must not move the cursor or reverse the direction of the line.
    """
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = printable(value)
    return event


def _rendered(content: object, **_: object) -> str:
    return to_json(content, fallback=repr).decode()


def observer(slow: float, *, every: bool) -> Observer:
    """A function that records the duration of every statement, and logs statements that took at least `slow` seconds.

    With `every` it logs all statements. Values of parameters are never logged.
    """
    timers: dict[str, Histogram] = {}

    def observe(name: str, seconds: float, rows: int) -> None:
        if (timer := timers.get(name)) is None:
            timer = timers[name] = STATEMENTS.labels(statement=name)
        timer.observe(seconds)
        if seconds >= slow:
            log.warning("slow_statement", statement=name, milliseconds=round(seconds * 1000, 1), rows=rows)
        elif every:
            log.info("statement", statement=name, milliseconds=round(seconds * 1000, 1), rows=rows)

    return observe
