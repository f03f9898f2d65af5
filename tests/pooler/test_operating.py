"""What has to go round a pooler says so in one line, and what can do without it goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog

from arranging.bouncer import Bouncer
from arranging.factories import Factory
from service.cache.cache import Cache
from service.cache.watermarks import Watermarks
from service.changes.feed import Feed
from service.database import diagnosis
from service.database.database import Database
from service.errors import OperatorError
from service.operations.health import Health
from service.replicas import Replicas
from service.settings.settings import Settings
from service.tenancy.identity import TenantId
from service.work import Work


def quarry(directory: Path, settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command itself with these settings, all roles through DATABASE_URL unless they have an address of their own."""
    names = ("database_url", "database_migration_url", "database_platform_url", "changes_listen_url", "pii_keys")
    given = {name.upper(): value.get_secret_value() for name in names if (value := getattr(settings, name))}
    return subprocess.run(
        [sys.executable, "-m", "service", *arguments], cwd=directory, text=True, check=False, timeout=60,
        capture_output=True, env={"PATH": os.environ["PATH"], "COLUMNS": "200", **given},
    )  # fmt: skip


@pytest.mark.parametrize("is_told", [True, False], ids=["told", "asked"])
def test_db_test_says_what_is_between_and_how_changes_are_found(
    pooled: Settings, tmp_path: Path, is_told: bool
) -> None:
    settings = pooled if is_told else pooled.model_copy(update={"changes_listen_url": None})
    report = json.loads(quarry(tmp_path, settings, "db", "test", "--json").stdout)
    assert (report["has_pooler"], report["role"]) == (True, "quarry_app")
    assert report["pending_migrations"] == []
    assert report["changes"].startswith("told" if is_told else "asked for: ")
    assert ("CHANGES_LISTEN_URL" in report["changes"]) is not is_told


@pytest.mark.parametrize("command", [("migrate", "up"), ("migrate", "show"), ("db", "create"), ("db", "roles")])
def test_what_needs_one_session_throughout_says_so(
    pooled: Settings, bouncer: Bouncer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    alone = pooled.model_copy(update={"database_migration_url": None})
    ended = quarry(tmp_path, alone, *command)
    assert ended.returncode == 1
    message, advice = ended.stderr.splitlines()
    assert "pooler" in message
    assert "DATABASE_MIGRATION_URL" in advice


def test_the_platform_needs_a_login_of_its_own(pooled: Settings, tmp_path: Path) -> None:
    ended = quarry(tmp_path, pooled.model_copy(update={"database_platform_url": None}), "tenants", "list")
    assert ended.returncode == 1
    assert "behind a pooler this login can't become quarry_platform" in ended.stderr
    assert "DATABASE_PLATFORM_URL" in ended.stderr
    assert quarry(tmp_path, pooled, "tenants", "list").returncode == 0


@pytest.mark.parametrize(
    ("user", "database", "said"),
    [
        ("quarry_unknown", None, "the server refuses the pooler's login"),
        ("quarry_stranger", None, "the pooler refuses this login"),
        ("quarry_app", "missing", "does not exist"),
    ],
    ids=["unknown to the server", "unknown to the pooler", "no database"],
)
async def test_a_pooler_that_refuses_is_told_with_a_remedy(
    settings: Settings, bouncer: Bouncer, superuser: Any, user: str, database: str | None, said: str
) -> None:
    address = settings.address("quarry_app")
    url = bouncer.url(user=user, database=database or superuser.info.dbname)
    with pytest.raises(OperatorError) as caught:
        await diagnosis.examine(type(address)(url))
    assert said in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.remedy


async def test_changes_of_others_are_asked_for_and_that_is_said_once(
    pooled: Settings, database: Database, new: Factory
) -> None:
    acme = await new.tenant("acme")
    deaf = pooled.model_copy(update={"changes_listen_url": None})
    watermarks = Watermarks()
    structlog.reset_defaults()
    with structlog.testing.capture_logs() as said:
        async with (
            Database.open(deaf.address("quarry_app"), deaf.limits) as behind,
            Cache.open(deaf, watermarks) as cache,
            Feed.open(deaf, behind, watermarks, ()) as feed,
        ):
            await until(lambda: feed.report()["listener"] == "refused")
            async with feed._relay.ring(TenantId(acme.id)) as ring:
                async with Work(database, acme.id) as work:
                    await work.campaigns.create(name="Summer", owner_id=acme.owner.id)
                await until(lambda: ring.head == work.number)
            report = await Health(behind, feed, Replicas((), watermarks), cache, 60.0).report()
    assert watermarks.epoch == report["changes"]["epoch"]
    assert "CHANGES_LISTEN_URL" in report["changes"]["reason"]
    assert report["pool"]["has_pooler"]
    assert [each["log_level"] for each in said if each["event"] == "listener"] == ["warning"]


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)
