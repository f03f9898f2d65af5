"""One-time codes: how they are made, and who sends them."""

from __future__ import annotations

import secrets
from typing import Protocol, runtime_checkable

import structlog

from service import extensions
from service.settings.settings import Settings

DIGITS = 6
ATTEMPTS = 5
"""The most guesses at one code."""
LIFETIME = 600.0
"""Seconds during which a code is valid."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.codes")


@runtime_checkable
class CodeSender(Protocol):
    """Sends a code to a phone. If `send` raises, the error is logged and the request fails with `unavailable`."""

    async def send(self, phone: str, code: str) -> None:
        """Send `code` to `phone` (E.164)."""


class LoggedCodes:
    """For development: writes the code to the log, with the last two digits of the phone number."""

    async def send(self, phone: str, code: str) -> None:
        """Log the code."""
        log.warning("code", phone=f"…{phone[-2:]}", code=code)


def fresh() -> str:
    """A new code: six random digits."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def sender(settings: Settings) -> CodeSender | None:
    """The sender that the setting CODE_SENDER names. Its value is `module:name` of a function that makes a sender from settings.

    Without that setting, codes are written to the log in development and test; in staging and production there is no sender
    (None). Raises OperatorError if the function does not exist or fails.
    """
    if settings.code_sender is None:
        return LoggedCodes() if settings.environment in ("development", "test") else None
    made: CodeSender = extensions.load(settings, "code_sender", CodeSender)
    return made
