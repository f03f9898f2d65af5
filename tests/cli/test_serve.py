"""`quarry serve` and `quarry dev` as processes: what they refuse, and that they start and stop in order."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx
import pytest

from arranging.factories import Factory


def answers(address: str) -> bool:
    """Whether the service at `address` is ready."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stopped(process: subprocess.Popen[str], number: int) -> int:
    """The exit status after a signal, within a few seconds."""
    process.send_signal(number)
    process.communicate(timeout=15)
    return process.returncode


SERVING = r"(?:serves|serving) on (http://[\w.:]+)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_ends_with_0(quarry: Any, says: Any, until: Any, number: int) -> None:
    with quarry.start("serve", "--port", "0") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        assert stopped(process, number) == 0
    assert not answers(address)


async def test_a_request_in_flight_is_finished_before_the_service_ends(
    quarry: Any, says: Any, until: Any, superuser: Any, new: Factory
) -> None:
    acme = await new.tenant("acme")
    campaign = await new.campaign(acme)
    headers = {"Authorization": f"Bearer {await new.token(acme)}", "If-Match": '"1"'}
    superuser.execute("SELECT FROM quarry.campaigns FOR UPDATE")
    with quarry.start("serve", "--port", "0") as process:
        async with httpx.AsyncClient(base_url=says(process, SERVING)[1], headers=headers) as client:
            asked = asyncio.create_task(client.patch(f"/v1/campaigns/{campaign.id}", json={"name": "Late"}))
            waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await asyncio.to_thread(until, lambda: superuser.execute(waits).fetchone() != (0,))
            process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(until, lambda: not answers(str(client.base_url)))
            assert not asked.done()
            superuser.rollback()
            answer = await asked
        process.communicate(timeout=15)
    assert (answer.status_code, answer.json()["name"], process.returncode) == (200, "Late", 0)


def test_two_workers_serve_and_end_together(quarry: Any, says: Any, until: Any) -> None:
    with quarry.start("serve", "--port", "0", "--workers", "2") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        assert stopped(process, signal.SIGTERM) == 0
    assert not answers(address)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_port_is_open_when_requests_are_served_and_not_before(quarry: Any, until: Any, workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def connected() -> Any:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            return None

    with quarry.start("serve", "--port", str(port), "--workers", workers) as process:
        with until(connected) as connection:
            started = time.monotonic()
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(100).startswith(b"HTTP/1.1 200")
            # It was 6.5 to 15 s with the port open before; generous, for a machine with other work.
            assert time.monotonic() - started < 3
        assert stopped(process, signal.SIGTERM) == 0


def test_instance_that_is_told_to_stop_first_says_so_and_goes_on_serving(quarry: Any, says: Any, until: Any) -> None:
    with quarry.start("serve", "--port", "0", SHUTDOWN_DELAY="2s") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        process.send_signal(signal.SIGTERM)
        until(lambda: httpx.get(f"{address}/readyz").json() == {"status": "unavailable", "failing": ["stopping"]})
        assert httpx.get(f"{address}/livez").status_code == 200
        process.communicate(timeout=15)
        assert process.returncode == 0


def test_second_signal_ends_the_delay_whichever_it_is(quarry: Any, says: Any, until: Any) -> None:
    with quarry.start("serve", "--port", "0", SHUTDOWN_DELAY="1h") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        process.send_signal(signal.SIGTERM)
        until(lambda: not answers(address))
        assert stopped(process, signal.SIGINT) == 0


def test_closing_the_terminal_ends_no_instance(quarry: Any, says: Any, until: Any) -> None:
    with quarry.start("serve", "--port", "0") as process:
        address = says(process, SERVING)[1]
        process.send_signal(signal.SIGHUP)
        until(lambda: answers(address))
        assert stopped(process, signal.SIGTERM) == 0


def test_worker_that_dies_is_replaced_logged_and_counted(quarry: Any, says: Any, until: Any) -> None:
    with quarry.start("serve", "--port", "0", "--workers", "2") as process:
        address = says(process, SERVING)[1]
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(int(workers[0]), signal.SIGKILL)
        assert says(process, rf"worker_replaced .*pid={workers[0]}")
        until(lambda: "quarry_workers_replaced_total 1.0" in httpx.get(f"{address}/metrics").text)
        assert stopped(process, signal.SIGTERM) == 0


def test_serve_refuses_a_database_without_tables_until_it_may_migrate(
    quarry: Any, superuser: Any, says: Any, until: Any
) -> None:
    superuser.execute("DROP SCHEMA app, quarry CASCADE")
    superuser.commit()
    quarry("db", "create")
    refused = quarry("serve", "--port", "0")
    assert (refused.status, refused.out) == (1, "")
    assert "run `quarry migrate up` first, or add --migrate" in refused.err
    with quarry.start("serve", "--port", "0", "--migrate") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        assert stopped(process, signal.SIGINT) == 0


def test_production_refuses_superuser_logins_the_embedded_server_and_dev(quarry: Any, embedded: Any) -> None:
    superuser = quarry.variables["DATABASE_MIGRATION_URL"]
    for command, arguments, said in (
        (
            quarry.given(**{**quarry.variables, "DATABASE_URL": superuser}),
            ("serve", "--port", "0"),
            "does not serve with a superuser login",
        ),
        (embedded, ("serve", "--port", "0"), "production does not use the embedded server"),
        (quarry, ("dev", "--port", "0"), "`dev` is refused in production"),
    ):
        answer = command(*arguments, ENVIRONMENT="production")
        assert (answer.status, answer.out) == (1, "")
        assert said in answer.err


def test_taken_port_and_wrong_host_are_told_before_anything_is_started(embedded: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = embedded("dev", "--port", port)
        assert answer.err.startswith(f"quarry: port {port} on 127.0.0.1 can't be used: Address already in use")
    assert "can't be used" in embedded("dev", "--host", "no..host").err
    assert not (embedded.directory / ".quarry").exists()


def test_dev_serves_demo_data_and_takes_its_server_with_it(embedded: Any, says: Any, until: Any) -> None:
    with embedded.start("dev", "--port", "0") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        assert "acme.example" in embedded("tenants", "list").out
        assert stopped(process, signal.SIGINT) == 0
    assert embedded("db", "stop").err == "quarry: it was not running\n"


async def test_dev_adds_no_demo_data_where_somebody_has_tenants(quarry: Any, says: Any, new: Factory) -> None:
    await new.tenant("acme")
    with quarry.start("dev", "--port", "0") as process:
        says(process, r"as before: this server has tenants, .* left out")
        assert "globex.example" not in quarry("tenants", "list").out
        assert stopped(process, signal.SIGINT) == 0


def test_dev_that_was_killed_starts_again_with_its_data(embedded: Any, says: Any, until: Any) -> None:
    with embedded.start("dev", "--port", "0") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))
        embedded("tenants", "add", "kept.example", "--name", "Kept")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
    with embedded.start("dev", "--port", "0") as process:
        again = says(process, SERVING)[1]
        until(lambda: answers(again))
        assert "kept.example" in embedded("tenants", "list").out
        assert stopped(process, signal.SIGTERM) == 0
    assert embedded("db", "stop").err == "quarry: it was not running\n"


def test_commands_that_find_no_server_yet_make_one_together(embedded: Any) -> None:
    started = [embedded.start("migrate", "up") for _ in range(3)]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert sum("applied" in text.splitlines()[-1] for text in said) == 1


def test_kept_server_is_found_at_its_address_until_it_is_stopped(embedded: Any) -> None:
    url = embedded("db", "url").out
    assert embedded("db", "url").out == url
    assert embedded("db", "stop").err == "quarry: stopped\n"


def test_several_workers_count_as_one(quarry: Any, says: Any, until: Any) -> None:
    with quarry.start("serve", "--port", "0", "--workers", "2") as process:
        address = says(process, SERVING)[1]
        until(lambda: answers(address))

        def counted() -> float:
            text = httpx.get(f"{address}/metrics").text
            found = re.search(r'^quarry_requests_total\{code="",method="GET",status="200"\} (\S+)', text, re.MULTILINE)
            return float(found.group(1)) if found else 0.0

        for _ in range(20):
            httpx.get(f"{address}/livez")
        # Each of the two has answered some, and either tells of all.
        assert until(lambda: counted() > 20)
        assert stopped(process, signal.SIGTERM) == 0


def test_dev_with_other_keys_than_the_database_s_says_so_and_nothing_else(embedded: Any) -> None:
    embedded("migrate", "up")
    embedded("tenants", "add", "acme.example", "--name", "Acme")
    embedded("users", "add", "acme.example", "jo@acme.example", "--role", "owner", QUARRY_PASSWORD="long enough")
    refused = embedded("dev", "--port", "0", PII_KEYS=f"other:{'C' * 43}=", PII_INDEX_KEY=f"{'D' * 42}A=")
    assert refused.status == 1
    assert "quarry: these are not the keys of this database's personal data, or " in refused.err
    assert "Quarry serves on" not in refused.err
