"""Schemathesis against the running service, as a member of one tenant, with ids of another one mixed in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from arranging.accounts import NewTenant
from arranging.factories import Factory
from arranging.serving import Service
from arranging.witnesses import everything, plant
from service.database.database import Database

HERE = Path(__file__).parent
CONFIGURATION = """
# A precondition that fails is told before the body is looked at.
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429"]
# A key that was used before, and a cursor that only looks like one, fit the schema and are refused all the same.
[checks.positive_data_acceptance]
enabled = false
# Sequences of requests that lead to each other.
[phases.stateful.generation]
max-examples = {sequences}
mode = "positive"
"""


async def explored(
    service: Service,
    database: Database,
    new: Factory,
    acme: NewTenant,
    globex: NewTenant,
    examples: int,
    sequences: int,
    directory: Path,
) -> str:
    """What schemathesis says of so many examples per operation and sequences; nothing of the other tenant has moved."""
    foreign = await plant(new, globex)
    own = await plant(new, acme)
    references = {"owner_id": str(acme.owner.id), "brand_id": own.brand, "niche_ids": []}
    before = await everything(database, globex)
    configuration = directory / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(sequences=sequences))
    # The owner may do the most, and the last one can't lose that role.
    token = await new.token(acme)
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")), "--config-file", str(configuration),
            "run", f"{service.url}/openapi.json", "-H", f"Authorization: Bearer {token}",
            "--max-examples", str(examples), "--seed", "1", "--no-color",
            # Before Python 3.11.8 two threads that parse at once can fail with a SystemError (gh-106905).
            "--workers", "1",
            # These would end the very session that it works with.
            "--exclude-operation-id", "sessions.sign_out", "--exclude-operation-id", "users.set_password",
            "--exclude-operation-id", "sessions.end",
        ],
        env={
            **os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE),
            "QUARRY_FOREIGN": json.dumps({"ids": foreign.ids, "markers": foreign.markers, "own": references}),
        },
        cwd=directory, capture_output=True, text=True, timeout=3000, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
    assert await everything(database, globex) == before
    return run.stdout


def generated(said: str) -> int:
    found = re.search(r"(\d+) generated", said)
    assert found, said
    return int(found[1])


async def test_no_server_error_no_undocumented_answer_and_no_foreign_row(
    service: Service, database: Database, new: Factory, acme: NewTenant, globex: NewTenant, tmp_path: Path
) -> None:
    said = await explored(service, database, new, acme, globex, 1, 30, tmp_path)
    assert generated(said) > 800
    assert "Traceback" not in service.log.read_text()


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("SOAK"), reason="SOAK=1 asks for the full count")
async def test_the_same_at_length(
    service: Service, database: Database, new: Factory, acme: NewTenant, globex: NewTenant, tmp_path: Path
) -> None:
    said = await explored(service, database, new, acme, globex, 100, 1_000, tmp_path)
    links = re.search(r"API Links:.*", said)
    print(f"\nschemathesis: {generated(said)} cases, no failure; {links[0] if links else ''}")
    assert "Traceback" not in service.log.read_text()
