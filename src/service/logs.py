"""Structured logs on stderr: JSON in the environments production and staging, lines for people in the others."""

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
    # asyncpg's pool logs a warning with a traceback at each failed attempt to connect. These warnings are suppressed, because
    # the log messages database_lost and database_recovered (database/pool.py) report each failure once.
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
    """Replace control characters and invisible characters in the values of a log line by their hexadecimal codes.

    Values may come from outside (paths, addresses, names). Such text must not move the terminal's cursor, or reverse the
    direction in which the line is displayed.
    """
    for name, value in event.items():
        if isinstance(value, str) and name != "exception":
            event[name] = printable(value)
    return event


def _rendered(content: object, **_: object) -> str:
    return to_json(content, fallback=repr).decode()


def observer(slow: float, *, every: bool) -> Observer:
    """Make a function that records the duration of a named statement, and logs the statement if it took at least `slow` seconds.

    With `every` the function logs faster statements too. Values of parameters are never logged.
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
