"""What is written about statements, and what never is."""

from __future__ import annotations

import json

import pytest

from arranging.factories import Factory
from service import logs
from service.database.database import Database
from service.personal import keyring
from service.settings.settings import Settings
from service.work import Work


async def statements(settings: Settings, new: Factory) -> None:
    acme = await new.tenant("acme")
    observed = Database.open(
        settings.address("quarry_app"),
        settings.limits,
        observe=logs.observer(settings.database_slow_statement, every=settings.database_log_queries),
        keyring=keyring.load(settings),
    )
    async with observed as database, Work(database, acme.id) as work:
        await work.users.find_credentials("somebody@secret.example")


@pytest.mark.parametrize(("changes", "event"), [
    ({"database_log_queries": True}, "statement"),
    ({"database_slow_statement": 0.0}, "slow_statement"),
])  # fmt: skip
async def test_a_statement_is_logged_with_its_name_and_never_its_values(
    settings: Settings, new: Factory, capsys: pytest.CaptureFixture[str], changes: dict, event: str
) -> None:
    production = settings.model_copy(update={"environment": "production", **changes})
    logs.configure(production)
    await statements(production, new)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    found = [line for line in lines if line["event"] == event]
    assert found[-1]["statement"] == "users.find_credentials"
    assert {"milliseconds", "rows", "timestamp", "level"} <= found[-1].keys()
    assert not any("secret" in json.dumps(line) for line in lines)


async def test_statements_are_not_logged_unless_asked_for(
    settings: Settings, new: Factory, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(settings)
    await statements(settings, new)
    assert capsys.readouterr().err == ""
