"""One-time codes: how they are made, and who sends them."""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable
from typing import Protocol, cast

import structlog

from service.errors import OperatorError
from service.settings import Settings

DIGITS = 6
ATTEMPTS = 5
"""Guesses at one code."""
LIFETIME = 600.0
"""Seconds that a code can be used."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.codes")


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
    module, _, name = settings.code_sender.partition(":")
    try:
        make = cast("Callable[[Settings], CodeSender]", getattr(importlib.import_module(module), name))
    except (ImportError, AttributeError, ValueError) as error:
        raise OperatorError(
            f"CODE_SENDER: {settings.code_sender} can't be had: {error}", "name it as package.module:function"
        ) from error
    return make(settings)
