"""What the documents tell operators to type works, and what they say of names, messages, metrics and links is so."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import click
import psycopg
import pytest
import typer.main
import yaml
from prometheus_client.metrics import MetricWrapperBase

from application import Api
from cli.conftest import Ended, Process, Quarry, _says
from factories import Factory
from service import metrics
from service.api.answers import STATUS
from service.api.app import create_app
from service.api.limits import LimitName
from service.cli.commands import app, run
from service.embedded.server import Server
from service.settings import Settings

CHECKOUT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", *sorted(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md")))
RUN = frozenset({
    "README.md", "docs/api.md", "docs/changes.md", "docs/moving.md", "docs/operations.md", "docs/troubleshooting.md",
    "docs/upgrading.md",
})  # fmt: skip
"""Those whose `sh` blocks are run below, from the first to the last."""
_SYNOPSIS = "a synopsis; its names are looked up"
_CRON = "cron's; the commands are those above"
_OUTSIDE = "an example of a program that is not ours"
_BACKUP = "tests/cli/test_backup.py"
ELSEWHERE: Mapping[str, str] = {
    "make run": "quarry dev, after installing: tests/cli/test_serve.py::test_dev_serves_demo_data_and_takes_its_server_with_it",
    "make test": "this",
    "quarry dev | serve          quarry db test|create|drop|roles|url|stop": _SYNOPSIS,
    "quarry migrate up|down|pending|show|check|new|fresh": _SYNOPSIS,
    "quarry sql check|list|show|explain|report    (docs/checks.md)": _SYNOPSIS,
    "quarry seed run|truncate|list    quarry users add|passwd": _SYNOPSIS,
    "quarry tenants add|list|show|suspend|activate|export|import|delete    (docs/offboarding.md)": _SYNOPSIS,
    "quarry backup create|list|verify|restore    (docs/backups.md)": _SYNOPSIS,
    "quarry pii rotate|key           quarry config show": _SYNOPSIS,
    "quarry changes reset|consumers|forget    (docs/changes.md)": _SYNOPSIS,
    "export DATABASE_MIGRATION_URL=postgresql://admin:…@db.example/quarry": "test_set_up_and_operating_are_as_described",
    "quarry db create && quarry migrate up && quarry db test": "test_set_up_and_operating_are_as_described",
    'quarry tenants add acme.example --name "Acme Agency"': "test_set_up_and_operating_are_as_described",
    "quarry users add acme.example you@acme.example --role owner": "test_set_up_and_operating_are_as_described",
    "quarry serve": "test_set_up_and_operating_are_as_described",
    "quarry backup create": "test_a_move_is_as_described",
    "quarry backup list [--check] [--json]": f"{_BACKUP}::test_list_checks_only_when_asked_and_fails_for_a_damaged_one",
    "quarry backup verify quarry_backup_20260301_030000": f"{_BACKUP}::test_verify_proves_a_backup_and_leaves_nothing",
    "quarry backup restore quarry_backup_20260301_030000": f"{_BACKUP}::test_restore_asks_and_refuses_when_nobody_answers",
    "15 3 * * *   quarry  cd /srv/quarry && quarry backup create 2>>/var/log/quarry-backup.log": _CRON,
    '45 4 * * 0   quarry  cd /srv/quarry && quarry backup verify "$(quarry backup list --json | python3 -c'
    " 'import json,sys; print(json.load(sys.stdin)[-1][\"name\"])')\"": _CRON,
    "ExecStart=/srv/quarry/.venv/bin/quarry backup create WantedBy=timers.target": "systemd's; the same command",
    'rclone copy --include "*_backup_*" /srv/quarry/.quarry/backups offsite:quarry-backups': _OUTSIDE,
    'aws s3 cp --recursive --exclude "*" --include "*_backup_*" .quarry/backups s3://example-backups/quarry/': _OUTSIDE,
    "apt-get install -y pgbackrest postgresql-15": "run once, as the page says",
    "repo1-path=/var/lib/pgbackrest                    archive_command = 'pgbackrest --stanza=quarry archive-push %p'": "it",
    "quarry tenants export acme.example": "tests/cli/test_archives.py",
    "quarry tenants delete acme.example": "tests/cli/test_archives.py",
    "quarry tenants import acme.example_export_20260301_093000.tar.gz": "tests/cli/test_archives.py",
    "$ tar -xzOf acme.example_export_20260301_093000.tar.gz users.jsonl | head -1": "it shows an archive; tests/offboarding",
}  # fmt: skip
"""Commands that no test runs by their very line: what does instead, or why nothing does."""
_COMMAND = re.compile(
    r"(^|[\s(|&/\"])(quarry|make|curl|psql|docker|apt-get|pgbackrest|rclone|aws|tar|yoyo|pip|pg_\w+|systemctl)\s(?!=)"
)
_NOT_RUN = re.compile(r"<!-- not run: \S.* -->")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, and whether the line before it says why it is not run."""

    language: str
    lines: tuple[str, ...]
    is_marked: bool


@cache
def blocks(document: str) -> list[Block]:
    found, lines, language, before, marked = [], [], None, "", False
    for line in (CHECKOUT / document).read_text(encoding="utf-8").splitlines():
        if line.startswith("```") and language is None:
            language, lines, marked = line[3:].strip(), [], bool(_NOT_RUN.fullmatch(before))
        elif line.startswith("```"):
            found.append(Block(language or "", tuple(lines), marked))
            language = None
        else:
            lines.append(line)
        before = line
    assert language is None, f"{document} ends inside a block"
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_run_or_says_why_not(document: str) -> None:
    unknown = [
        line
        for block in blocks(document)
        if block.language in ("", "sh", "console", "bash") and not block.is_marked
        if not (block.language == "sh" and document in RUN)
        for line in block.lines
        if _COMMAND.search(line) and re.sub(r"\s{2,}#.*", "", line).strip() not in ELSEWHERE
    ]
    assert unknown == [], "run it (RUN), put <!-- not run: reason --> above it, or name what runs it (ELSEWHERE)"


def test_what_is_named_as_running_a_command_is_there() -> None:
    for place in ELSEWHERE.values():
        for path, name in re.findall(r"(tests/[\w/]+(?:\.py)?)(?:::(\w+))?", place):
            assert (CHECKOUT / path).exists()
            assert not name or f"def {name}(" in (CHECKOUT / path).read_text(encoding="utf-8")
    lines = {
        re.sub(r"\s{2,}#.*", "", line).strip() for each in DOCUMENTS for block in blocks(each) for line in block.lines
    }
    assert [line for line in ELSEWHERE if line not in lines] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not ((CHECKOUT / document).parent / link).exists()] == []
    named = re.findall(r"`((?:tests|src|docs|sql|bench)/[\w./-]+)`", text)
    assert [path for path in named if not (CHECKOUT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_quarry_command_that_is_named_exists(document: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    fenced = [line for block in blocks(document) for line in block.lines]
    for span in [*re.findall(r"`([^`\n]+)`", text), *fenced]:
        for words in re.findall(r"(?:^|[\s(])quarry ([a-z][^\n`&;)\"#]*)", span):
            assert _unknown(words.split()) is None, span


def _unknown(words: list[str]) -> str | None:
    """What is wrong with the words after `quarry`."""
    command: Any = typer.main.get_command(app)
    for position, word in enumerate(words):
        if word == "quarry":
            return _unknown(words[position + 1 :])
        if isinstance(command, click.Group) or hasattr(command, "commands"):
            names = [name for name in word.split("|") if name]
            if missing := [name for name in names if name not in command.commands]:
                return f"there is no {missing}"
            command = command.commands[names[0]] if names else command
        elif word.startswith("--") and not any(word in option.opts for option in command.params) and word != "--help":
            return f"there is no {word}"
    return None


def test_every_setting_is_in_the_table_of_operating() -> None:
    text = (CHECKOUT / "docs/operations.md").read_text(encoding="utf-8")
    assert [name for name in map(str.upper, Settings.model_fields) if f"`{name}`" not in text] == []


def _metrics() -> dict[str, MetricWrapperBase]:
    made = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    return {f"{each._name}_total" if each._type == "counter" else each._name: each for each in made}


def test_every_metric_is_in_the_table_of_operating() -> None:
    text = (CHECKOUT / "docs/operations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(quarry_\w+)` \| ([^|]*)\|", text, re.MULTILINE))
    assert {name: labels.strip() for name, labels in rows.items()} == {
        name: ", ".join(each._labelnames) for name, each in _metrics().items()
    }


def test_alerts_are_about_metrics_and_labels_that_there_are() -> None:
    known = _metrics()
    rules = [
        rule
        for group in yaml.safe_load((CHECKOUT / "docs/alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        for name, selector in re.findall(r"(quarry_\w+)(?:\{([^}]*)\})?", rule["expr"]):
            metric = known[re.sub(r"_(bucket|sum|count)$", "", name)]
            for label, values in re.findall(r"(\w+)=~?\"([^\"]*)\"", selector):
                assert label in metric._labelnames, rule["alert"]
                choices = {"code": set(STATUS), "limit": set(get_args(LimitName))}.get(label)
                assert choices is None or set(values.split("|")) <= choices, rule["alert"]
            for group in re.findall(r"by \(([^)]*)\)", rule["expr"]):
                assert set(group.split(", ")) <= {*metric._labelnames, "le"}, rule["alert"]


@cache
def _said() -> str:
    """Every text in the program, a value that is put in as …, one a line."""
    texts = []
    for path in (CHECKOUT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append("".join(p.value if isinstance(p, ast.Constant) else "…" for p in node.values))  # type: ignore[misc]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    texts += [path.read_text(encoding="utf-8").replace("''", "'") for path in (CHECKOUT / "sql").rglob("*.sql")]
    return "\n".join(texts)


def symptoms() -> Iterator[tuple[str, bool]]:
    """The texts of the first column, and whether the row says that it is provoked."""
    for line in (CHECKOUT / "docs/troubleshooting.md").read_text(encoding="utf-8").splitlines():
        cell = line.split("|")[1] if line.startswith("| ") else ""
        for text in re.findall(r"`([^`]+)`", cell):
            if " " in text and not re.match(r"\d", text):
                yield text, "•" in cell


def test_every_symptom_is_told_in_the_programs_own_words() -> None:
    # PostgreSQL's own, and what tests/cli/test_migrate.py sees.
    theirs = {"canceling statement due to lock timeout", "… is edited", "… is lost"}
    unsaid = [
        text
        for text, is_provoked in symptoms()
        if not is_provoked and text not in theirs
        if not all(part.strip(" :") in _said() for part in text.split("…"))
    ]
    assert unsaid == []
    assert len(list(symptoms())) > 20


@dataclass(frozen=True)
class Desk:
    """An operator's shell on this test's own database."""

    server: Server
    settings: Settings
    directory: Path
    superuser: Any

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
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "PYTHONUTF8": "1", "COLUMNS": "200", "HOME": str(self.directory), **variables}
        with Process(
            ["bash", "-euo", "pipefail", "-c", text], cwd=self.directory, env=environment, text=True, encoding="utf-8",
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        ) as process:  # fmt: skip
            printed = process.communicate(timeout=120)[0]
        assert process.returncode == 0, printed
        assert "Traceback" not in printed, printed
        return printed


@pytest.fixture
def desk(server: Server, settings: Settings, tmp_path: Path, superuser: Any) -> Iterator[Desk]:
    if shutil.which("bash") is None or shutil.which("curl") is None or shutil.which("psql") is None:
        pytest.skip("bash, curl or psql is not installed")
    yield Desk(server, settings, tmp_path, superuser)
    with psycopg.connect(server.url(), autocommit=True) as root:
        made = root.execute("SELECT datname FROM pg_database WHERE datname ~ '^documented'").fetchall()
        for (name,) in made:
            root.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


_SERVE = """ENVIRONMENT=production quarry serve --port 0 2> serve.log & SERVICE=$!
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
            "ENVIRONMENT=production quarry serve": _SERVE,
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
        address = _says(process, r"serves on (http://\S+)")[1]
        here = {"http://127.0.0.1:8000": address}
        printed = desk.script("README.md", {**here, "curl -sN": 'echo "token=$TOKEN"; ! timeout 1 curl -sN'})
        for said in ('"items"', "200 OK", "412 Precondition Failed", "event: ready"):
            assert said in printed
        token = printed.rpartition("token=")[2].split()[0]
        first = f"""$(curl -s "{address}/v1/campaigns?limit=1" -H "Authorization: Bearer $TOKEN" |
          python3 -c 'import json, sys; print(json.load(sys.stdin)["items"][0]["id"])')"""
        printed = desk.script("docs/api.md", {**here, "$ID": first, '"3"': '"1"', "&after=AAZ…": ""})
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
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {
        "PATH": path,
        "DATABASE_URL": desk.url("documented_composed"),
        "ENVIRONMENT": "production",
        **secrets,
    }
    for name in ("migrate", "passwords"):
        command = [word.replace("$$", "$") for word in services[name]["command"]]
        done = subprocess.run(command, env=environment, cwd=desk.directory, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert desk.quarry("db", "test", DATABASE_URL=desk.url("documented_composed", "quarry_app")).status == 0


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
    assert quarry("migrate", "down").status == 0
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
