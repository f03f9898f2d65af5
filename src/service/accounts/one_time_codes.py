"""One-time codes: how they are made, and who sends them."""

from __future__ import annotations

import secrets
from typing import Protocol, runtime_checkable

import structlog

from service import extensions
from service.settings.settings import Settings

DIGITS = 6
ATTEMPTS = 5
"""Guesses at one code."""
LIFETIME = 600.0
"""Seconds that a code can be used."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.codes")


@runtime_checkable
class CodeSender(Protocol):
    """Whatever brings a code to a phone. What `send` raises is logged, and answered as `unavailable`."""

    async def send(self, phone: str, code: str) -> None:
        """Send `code` to `phone` (E.164)."""


class LoggedCodes:
    """For development: the code stands in the log, with the end of the phone's number."""

    async def send(self, phone: str, code: str) -> None:
        """Log it."""
        log.warning("code", phone=f"…{phone[-2:]}", code=code)


def fresh() -> str:
    """A new code: six random digits."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def sender(settings: Settings) -> CodeSender | None:
    """The sender that CODE_SENDER names (`module:name` of a function of the settings), or the log in development.

    None in staging and production without one. Raises OperatorError when the name leads nowhere.
    """
    if settings.code_sender is None:
        return LoggedCodes() if settings.environment in ("development", "test") else None
    made: CodeSender = extensions.load(settings, "code_sender", CodeSender)
    return made
