"""`quarry maintenance` and `quarry purge`."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from cli.conftest import Quarry

ADD = ("tenants", "add", "acme.example", "--name", "Acme")


def test_maintenance_refuses_writes_until_it_is_off_again(local: Any) -> None:
    assert local(*ADD).status == 0
    on = local("maintenance", "on")
    assert (on.status, on.out, on.err) == (0, "", "quarry: maintenance is on; nothing is being written\n")
    assert local("maintenance", "status").out == "on\n"
    assert json.loads(local("maintenance", "status", "--json").out) == {"maintenance": True}
    refused = local("tenants", "suspend", "acme.example")
    assert (refused.status, refused.err) == (1, "quarry: Nothing can be changed right now; reading goes on.\n")
    assert "active" in local("tenants", "show", "acme.example").out
    assert local("maintenance", "off").status == 0
    assert local("maintenance", "status").out == "off\n"
    assert local("tenants", "suspend", "acme.example").status == 0


def test_maintenance_waits_for_what_was_being_written(quarry: Quarry, superuser: Any, says: Any) -> None:
    superuser.commit()
    superuser.execute("SELECT pg_current_xact_id()")
    given_up = quarry("maintenance", "on", "--wait", "0.2")
    assert given_up.status == 1
    assert "transactions that began before still run" in given_up.err
    with quarry.start("maintenance", "on", stdin=subprocess.DEVNULL) as waiting:
        superuser.rollback()
        assert waiting.wait(60) == 0


def test_purge_tells_how_much_it_has_forgotten(local: Any, superuser: Any) -> None:
    local(*ADD)
    superuser.execute(
        "INSERT INTO quarry.change_tickets (tenant_id, token_hash, bearer_kind, bearer_hash, created_at, expires_at)"
        " SELECT id, sha256('a'), 'session', sha256('b'), now() - interval '1 hour', now() - interval '59 minutes'"
        "  FROM app.tenants"
    )
    superuser.commit()
    done = local("purge")
    assert (done.status, done.out, done.err) == (0, "", "quarry: 1 rows forgotten\n")
