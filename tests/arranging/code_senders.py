"""Senders of one-time codes, for CODE_SENDER: they remember what they were given, and some then fail."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from service.settings.settings import Settings


class Remembering:
    """Keeps the codes of every phone."""

    def __init__(self) -> None:
        self.codes: dict[str, list[str]] = {}

    async def send(self, phone: str, code: str) -> None:
        self.codes.setdefault(phone, []).append(code)


class Failing(Remembering):
    """Fails after it has sent."""

    async def send(self, phone: str, code: str) -> None:
        await super().send(phone, code)
        raise ConnectionError("the provider hung up")


class Hanging(Remembering):
    """Never comes back."""

    async def send(self, phone: str, code: str) -> None:
        await super().send(phone, code)
        await asyncio.Event().wait()


class ToFile:
    """Writes them to the file that CODES_FILE names, for a service that is a process of its own."""

    async def send(self, phone: str, code: str) -> None:
        with Path(os.environ["CODES_FILE"]).open("a") as file:
            file.write(f"{phone} {code}\n")


def remembering(_: Settings) -> Remembering:
    return Remembering()


def failing(_: Settings) -> Failing:
    return Failing()


def hanging(_: Settings) -> Hanging:
    return Hanging()


def to_file(_: Settings) -> ToFile:
    return ToFile()
