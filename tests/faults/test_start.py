"""Eight instances that find an empty database at the same time, as a roll-out starts them."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from arranging.factories import Factory
from service.schema import migration_files, provisioning
from service.settings.settings import Settings

_INSTANCES = 8
_PATIENCE = 120.0


@contextmanager
def migrating(settings: Settings, directory: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`quarry serve --migrate`, not waited for; answers process and file of its log. It ends with the block."""
    names = ("database_url", "database_migration_url", "database_platform_url", "pii_keys", "pii_index_key")
    given = {name.upper(): getattr(settings, name).get_secret_value() for name in names}
    directory.mkdir()
    log = directory / "service.log"
    with (
        log.open("w") as sink,
        subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0", "--migrate"], cwd=directory, stderr=sink,
            stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "DATABASE_POOL_MAX": "2", **given},
        ) as process,
    ):  # fmt: skip
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            finally:
                process.kill()


def address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where an instance serves, once it says so."""
    deadline = time.monotonic() + _PATIENCE
    while not (match := re.search(r"serving on (http://[\w.:]+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return match[1]


async def test_of_eight_instances_on_an_empty_database_one_migrates_and_all_serve(
    settings: Settings, new: Factory, superuser: Any, tmp_path: Path
) -> None:
    await provisioning.drop_schemas(settings.address("quarry_owner"), [settings.database_schema, "app"])
    await provisioning.prepare_database(settings.administration(), settings.database_schema)
    assert superuser.execute("SELECT to_regclass('app.installation')").fetchone() == (None,)
    superuser.rollback()
    all_of_them = len(migration_files.ordered())
    with ExitStack() as stack:
        started = [stack.enter_context(migrating(settings, tmp_path / f"service-{n}")) for n in range(_INSTANCES)]
        urls = [await asyncio.to_thread(address, *each) for each in started]
        acme = await new.tenant("acme")
        headers = {"Authorization": f"Bearer {await new.token(acme)}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            made = [await client.post(f"{url}/v1/campaigns", json={"name": url}) for url in urls]
            assert [answer.status_code for answer in made] == [201] * _INSTANCES
            shown = await client.get(
                f"{urls[0]}/v1/campaigns", headers={"Consistency": made[-1].headers["consistency"]}
            )
            assert {each["name"] for each in shown.json()["items"]} == set(urls)
    said = [log.read_text() for _, log in started]
    assert sorted(re.findall(r"quarry: (\d+ applied|nothing to apply)", "".join(said))) == [
        f"{all_of_them} applied",
        *["nothing to apply"] * (_INSTANCES - 1),
    ]
    assert sum(text.count("applying ") for text in said) == all_of_them
    assert not any("Traceback" in text for text in said), said
