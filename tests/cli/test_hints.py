"""What commands commit reaches the processes that run, at once; and what they run is named by a setting."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from arranging.factories import Factory
from changes.followers import listening, until
from service.changes.listener import announce
from service.database.database import Database
from service.settings.settings import Settings

COMMANDS = {
    "of the platform": ("tenants", "suspend", "acme.example"),
    "of a tenant": ("users", "passwd", "acme.example", "owner@acme.example"),
}


@pytest.mark.parametrize("arguments", COMMANDS.values(), ids=COMMANDS)
async def test_what_a_command_changes_is_hinted_to_who_listens(
    settings: Settings, quarry: Any, new: Factory, arguments: tuple[str, ...]
) -> None:
    acme, _ = await new.tenant("acme"), await new.tenant("globex")
    async with listening(settings.listening_address()) as ear:
        done = await asyncio.to_thread(quarry, *arguments, QUARRY_PASSWORD="long enough")
        assert done.status == 0, done.err
        await until(lambda: ear.heard)
    assert ear.heard == [acme.id]


async def test_a_command_that_changes_nothing_hints_at_nothing(
    settings: Settings, quarry: Any, database: Database
) -> None:
    async with listening(settings.listening_address()) as ear:
        assert (await asyncio.to_thread(quarry, "tenants", "suspend", "nobody.example")).status == 1
        await announce(database, [after := uuid4()])
        await until(lambda: ear.heard)
    assert ear.heard == [after]


MISTAKES = {
    "nowhere:make": "CONSUMERS: nowhere:make can't be had: No module named 'nowhere'",
    "outgoing:make": "CONSUMERS: outgoing:make can't be had: no mail server",
    "outgoing:twice": "two consumers have one name",
    "outgoing:wrong": "'Mail' is not a valid consumer name",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_the_consumers_that_are_named_is_told_before_anything_is_served(
    quarry: Any, tmp_path: Path, text: str
) -> None:
    (tmp_path / "outgoing.py").write_text(
        "from service.changes.consumers import Consumer\n"
        "def make(settings): raise RuntimeError('no mail server')\n"
        "def twice(settings): return [Consumer('mail', print), Consumer('mail', print)]\n"
        "def wrong(settings): return [Consumer('Mail', print)]\n"
    )
    refused = quarry("serve", "--port", "0", CONSUMERS=text, PYTHONPATH=str(tmp_path))
    assert (refused.status, refused.out) == (1, "")
    message, remedy = refused.err.splitlines()
    assert message == f"quarry: {MISTAKES[text]}"
    assert remedy.startswith("  → ")
