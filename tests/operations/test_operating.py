"""What the documents tell operators to type, typed: on databases of their own, from the first line to the last."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from arranging.application import Api
from arranging.documents import CHECKOUT, blocks, symptoms
from arranging.factories import Factory
from arranging.shells import Shell, prepared
from cli.conftest import Ended, Quarry, _says
from conftest import SESSIONS
from service.api.app import create_app
from service.cli.commands import run
from service.embedded.server import Server
from service.settings.settings import Settings


@dataclass(frozen=True)
class Desk:
    """An operator's shell on this test's own database."""

    server: Server
    settings: Settings
    directory: Path
    superuser: Any
    shell: Shell

    @property
    def variables(self) -> dict[str, str]:
        names = [name for name in Settings.model_fields if name.endswith("_url") or name.startswith("pii_")]
        return {name.upper(): value.get_secret_value() for name in names if (value := getattr(self.settings, name))}

    @property
    def quarry(self) -> Quarry:
        return Quarry(self.directory, self.variables)

    def url(self, database: str, user: str | None = None) -> str:
        return self.server.url(user=user or self.server.superuser, password=self.server.password, database=database)

    def script(self, document: str, instead: Mapping[str, str], **variables: str) -> str:
        """Run a document's blocks with other addresses; answers all that was printed."""
        text = "\n".join(
            "\n".join(each.lines) for each in blocks(document) if each.language == "sh" and not each.is_marked
        )
        for old, new in instead.items():
            assert old in text, f"{document} has no {old}"
            text = text.replace(old, new)
        return self.shell(text, self.directory, variables)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    if SESSIONS:
        pytest.skip("commands are tested on servers of their own")
    if missing := [name for name in ("bash", "curl", "psql") if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} is not installed")
    with prepared(tmp_path_factory.mktemp("shell")) as made:
        yield made


@pytest.fixture
def desk(server: Server, settings: Settings, tmp_path: Path, superuser: Any, shell: Shell) -> Iterator[Desk]:
    yield Desk(server, settings, tmp_path, superuser, shell)
    with psycopg.connect(server.url(), autocommit=True) as root:
        made = root.execute("SELECT datname FROM pg_database WHERE datname ~ '^documented'").fetchall()
        for (name,) in made:
            root.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


_SERVE = """quarry serve --port 0 2> serve.log & SERVICE=$!
trap 'kill -9 $SERVICE 2> /dev/null || true' EXIT
until URL=$(grep -o 'http://[0-9.:]*' serve.log); do kill -0 $SERVICE; sleep 0.1; done
until curl -sf "$URL/readyz"; do sleep 0.1; done"""


def test_set_up_and_operating_are_as_described(desk: Desk) -> None:
    names = {f"secret-{number}": desk.server.password for number in (1, 2, 3)}
    printed = desk.script(
        "docs/operations.md",
        {
            "postgresql://admin:secret@db.example:5432/quarry": desk.url("documented"),
            "@db.example:5432/quarry": f"@{desk.server.host}:{desk.server.port}/documented",
            "\nquarry serve\n": f"\n{_SERVE}\n",
            "quarry pii rotate": "quarry pii rotate\nkill -TERM $SERVICE\nwait $SERVICE",
            **names,
        },
    )
    for said in (
        "quarry_requests_total",
        '"failing": []',
        "maintenance is on",
        "rows forgotten",
        "has been created as owner",
    ):
        assert said in printed


def test_a_move_is_as_described(desk: Desk) -> None:
    backups = {"BACKUP_DIRECTORY": str(desk.directory / "backups"), "ENVIRONMENT": "production"}
    former = desk.superuser.info.dbname
    for name, database in (("old", former), ("new", "documented_new")):
        lines = {**desk.variables, **backups}
        lines |= {
            key: value.replace(f"/{former}", f"/{database}") for key, value in lines.items() if key.endswith("_URL")
        }
        text = "".join(f"{key}='{value}'\n" for key, value in lines.items())
        (desk.directory / f"{name}.env").write_text(text, encoding="utf-8")
    assert desk.quarry("tenants", "add", "moved.example", "--name", "Moved").status == 0
    desk.superuser.commit()
    printed = desk.script("docs/moving.md", {"/etc/quarry": str(desk.directory)})
    for said in (
        "is whole",
        "in epoch",
        "\non\n",
        "files, database and catalog agree",
        "moved.example",
        "maintenance is off",
    ):
        assert said in printed


def test_an_upgrade_and_the_first_questions_are_as_described(desk: Desk) -> None:
    desk.superuser.commit()
    printed = desk.script("docs/upgrading.md", {}, **desk.variables)
    assert "1 taken back" in printed
    assert printed.count("files, database and catalog agree") == 1
    assert "pending migrations: none" in desk.script("docs/troubleshooting.md", {}, **desk.variables)


def test_first_requests_are_as_described(desk: Desk) -> None:
    with desk.quarry.start("dev", "--port", "0") as process:
        address = _says(process, r"serves on (http://[\w.:]+)")[1]
        here = {"http://127.0.0.1:${PORT:-8000}": address}
        printed = desk.script("README.md", {**here, "curl -sN": 'echo "token=$TOKEN"; ! timeout 1 curl -sN'})
        for said in ('"items"', "200 OK", "412 Precondition Failed", "event: ready"):
            assert said in printed
        token = printed.rpartition("token=")[2].split()[0]
        first = f"""$(curl -s "{address}/v1/campaigns?limit=1" -H "Authorization: Bearer $TOKEN" |
          python3 -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])')"""
        printed = desk.script("docs/api.md", {**here, "$ID": first, '"3"': "*", "&after=AAZ…": ""})
        for said in ('"Nightly import"', '"next"', "200 OK", "201 Created"):
            assert said in printed
        printed = desk.script("docs/changes.md", {"curl -sN": "! timeout 1 curl -sN"}, URL=address, TOKEN=token)
        assert "event: ready" in printed
        check = re.search(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])", (CHECKOUT / "Dockerfile").read_text(encoding="utf-8"))
        assert check is not None
        port = {"PATH": os.environ["PATH"], "PORT": address.rpartition(":")[2]}
        assert subprocess.run([sys.executable, *json.loads(check[1])[1:]], env=port, check=False).returncode == 0
        process.terminate()
        process.communicate(timeout=30)


def test_the_services_of_compose_make_a_database_that_serves(desk: Desk) -> None:
    services = yaml.safe_load((CHECKOUT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert {"postgres", "redis", "migrate", "passwords", "quarry-1", "quarry-2", "pgbouncer"} == set(services)
    known = {*map(str.upper, Settings.model_fields), "PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
    given = re.findall(r"^(?:ENV |    )([A-Z_]+)=", (CHECKOUT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*given, *services["quarry-1"]["environment"]} <= known
    secrets = {f"QUARRY_{role}_PASSWORD": desk.server.password for role in ("APP", "PLATFORM", "BACKUP")}
    variables = {"DATABASE_URL": desk.url("documented_composed"), "ENVIRONMENT": "production", **secrets}
    for name in ("migrate", "passwords"):
        desk.shell(shlex.join(word.replace("$$", "$") for word in services[name]["command"]), desk.directory, variables)
    psycopg.connect(desk.url("documented_composed", "quarry_app")).close()


def _provocations(desk: Desk, quarry: Callable[..., Ended]) -> Iterator[tuple[str, str]]:
    """Every symptom of a command that the page says is provoked, and what is said then."""
    root, name = desk.superuser, desk.superuser.info.dbname
    root.commit()
    root.autocommit = True
    app_url, super_url = desk.variables["DATABASE_URL"], desk.url(name)
    serve = ("serve", "--port", "0")
    production = {"ENVIRONMENT": "production"}

    def fails(*words: str, **variables: str) -> str:
        ended = quarry(*words, **variables)
        assert ended.status == 1, ended
        return ended.err

    yield "nobody listens there", fails("db", "test", DATABASE_URL=f"postgresql://quarry_app:x@127.0.0.1:1/{name}")
    yield (
        "the server refuses the password",
        fails("db", "test", DATABASE_URL=app_url.replace(desk.server.password, "x")),
    )
    yield "the database does not exist", fails("db", "test", DATABASE_URL=desk.url("documented_nowhere"))
    yield "this login may not become …", fails("migrate", "pending", DATABASE_MIGRATION_URL=app_url)
    yield "the server has no TLS", fails("db", "test", DATABASE_SSL="true")
    root.execute("ALTER ROLE quarry_app CONNECTION LIMIT 0")
    try:
        yield "there are too many connections", fails("db", "test")
    finally:
        root.execute("ALTER ROLE quarry_app CONNECTION LIMIT -1")
    yield "the schema … does not exist", fails("migrate", "up", DATABASE_SCHEMA="elsewhere")
    yield "there is no such backup", fails("backup", "verify", "nothing")
    yield "… can't be written to: …", fails("backup", "create", "--directory", "/proc/nothing")
    yield "there is no tenant …", fails("tenants", "show", "nobody.example")
    yield "a password is needed, and there is nobody to ask", fails("users", "add", "a.example", "a@a.example")
    root.autocommit = False
    root.execute("SELECT pg_current_xact_id()")
    yield "transactions that began before still run after … s", fails("maintenance", "on", "--wait", "0.1")
    root.rollback()
    root.autocommit = True
    yield "Nothing can be changed right now; reading goes on.", fails("tenants", "add", "a.example", "--name", "A")
    assert quarry("maintenance", "off").status == 0
    yield "… needs keys for personal data", fails("pii", "rotate", **production, PII_KEYS="", PII_INDEX_KEY="")
    yield "PII_KEYS can't be read", fails("pii", "rotate", PII_KEYS="mine")
    assert quarry("pii", "rotate").status == 0
    yield (
        "these are not the keys of this database's personal data",
        fails("pii", "rotate", PII_INDEX_KEY="C" * 42 + "A="),
    )
    yield "production does not serve with a superuser login", fails(*serve, **production, DATABASE_URL=super_url)
    yield "production does not use the embedded server", fails(*serve, **production, DATABASE_URL="")
    port = str(desk.server.port)
    yield "port … on … can't be used: …", fails("serve", "--port", port)
    yield "… is not a setting; did you mean …", quarry("config", "show", DATABASE_POOL_MAXX="5").err
    yield "CODE_SENDER: … can't be had: …", fails(*serve, CODE_SENDER="nowhere:make")
    yield "CONSUMERS: … can't be had: …", fails(*serve, CONSUMERS="nowhere:make")
    assert quarry("migrate", "down", "--yes").status == 0
    yield "the database lacks migrations of this version: …", fails(*serve)
    yield "… is pending", fails("migrate", "check")
    assert quarry("migrate", "up").status == 0
    root.execute("ALTER TABLE quarry.brands NO FORCE ROW LEVEL SECURITY")
    yield "the database is not safe to serve from: …", fails(*serve)
    root.execute("DROP SCHEMA app, quarry CASCADE")
    yield "the database has no tables yet", fails(*serve)


async def _refusals(settings: Settings, new: Factory) -> list[str]:
    """What clients are told, one line for each refusal: the status, its code and its detail."""
    told: list[str] = []
    async with AsyncExitStack() as stack:
        changes = {
            "environment": "production",
            "allowed_hosts": ("quarry.test",),
            "rate_limit_sign_in_account": "1/minute",
        }
        application = create_app(settings.model_copy(update=changes))
        api = Api(
            application, await stack.enter_async_context(application.router.lifespan_context(application)), stack, new
        )
        acme, globex = await new.tenant("acme"), await new.tenant("globex")
        campaign, foreign = await new.campaign(acme), await new.campaign(globex)
        nobody, owner = await api.client(), await api.client(acme)
        viewer = await api.client(acme, await new.user(acme.id, role="viewer"))
        account = {"tenant": acme.domain, "email": "x@acme.example", "password": "wrong, and long enough"}
        at = f"/v1/campaigns/{campaign.id}"

        async def tell(answer: Any) -> None:
            content = (await answer).json()
            told.append(f"{content['status']} {content['code']} {content['detail']}")

        await tell(nobody.get("/v1/campaigns"))
        await tell(nobody.post("/v1/sessions", json=account))
        await tell(nobody.post("/v1/sessions", json=account))
        await tell(viewer.post("/v1/campaigns", json={"name": "A"}))
        await tell(owner.get(f"/v1/campaigns/{foreign.id}"))
        await tell(nobody.get("/healthz"))
        await tell(nobody.get("/v1/campaigns", headers={"Host": "other.test"}))
        await tell(owner.patch(at, json={"name": "B"}))
        await tell(owner.patch(at, json={"name": "B"}, headers={"If-Match": '"7"'}))
        await tell(owner.post("/v1/campaigns", json={"name": ""}))
        await tell(owner.get("/v1/changes", params={"since": "99-1"}))
    return told


async def test_every_symptom_that_is_said_to_be_provoked_is(
    desk: Desk, settings: Settings, new: Factory, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def inside(*words: str, **variables: str) -> Ended:
        """The command without a process of its own."""
        for key in os.environ.keys() - {"PATH"}:
            monkeypatch.delenv(key)
        for key, value in {**desk.variables, **variables}.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(sys, "argv", ["quarry", *words])
        status = run()
        return Ended(status, *capfd.readouterr())

    told = "\n".join(await _refusals(settings, new))
    monkeypatch.chdir(desk.directory)
    provoked = set()
    for text, said in await asyncio.to_thread(list, _provocations(desk, inside)):
        provoked.add(text)
        assert all(part in said for part in text.split("…")), (text, said)
    assert [text for text, is_provoked in symptoms() if is_provoked and text not in provoked and text not in told] == []
    assert [text for text in provoked if (text, True) not in set(symptoms())] == []
    for refusal in ("404 not_found", "404 not_found There is nothing here.", "410 gone"):
        assert refusal in told
