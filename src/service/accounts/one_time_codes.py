"""One-time codes, by which a phone number is verified: how they are made, their limits, and the objects that send them."""

from __future__ import annotations

import secrets
from typing import Protocol, runtime_checkable

import structlog

from service import extensions
from service.settings.settings import Settings

DIGITS = 6
ATTEMPTS = 5
"""How many guesses at one code are allowed."""
LIFETIME = 600.0
"""Seconds during which a code is valid."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.codes")


@runtime_checkable
class CodeSender(Protocol):
    """The interface of an object that sends codes to phones. If `send` raises an exception, its type is logged, and the client
    gets the error `unavailable`.
    """

    async def send(self, phone: str, code: str) -> None:
        """Send `code` to the phone number `phone`, which is in E.164 form, such as +14155550123."""


class LoggedCodes:
    """A CodeSender for development: it sends nothing, but logs the code and the last two digits of the phone number."""

    async def send(self, phone: str, code: str) -> None:
        """Log the code."""
        log.warning("code", phone=f"…{phone[-2:]}", code=code)


def fresh() -> str:
    """A new code: six random digits."""
    return f"{secrets.randbelow(10**DIGITS):0{DIGITS}}"


def sender(settings: Settings) -> CodeSender | None:
    """The CodeSender to use. The setting CODE_SENDER names a function as `module:name`, which makes it from the settings.

    Without that setting, it is LoggedCodes in development and test, and None (no codes can be sent) in staging and production.
    Raises OperatorError if the function does not exist, raises an exception, or does not return a CodeSender.
    """
    if settings.code_sender is None:
        return LoggedCodes() if settings.environment in ("development", "test") else None
    made: CodeSender = extensions.load(settings, "code_sender", CodeSender)
    return made
