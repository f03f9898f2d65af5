"""The documents as tests read them: their blocks of commands, and the symptoms that trouble-shooting names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
DOCUMENTS = ("README.md", *sorted(f"docs/{path.name}" for path in (CHECKOUT / "docs").glob("*.md")))
RUN = frozenset({
    "README.md", "docs/api.md", "docs/changes.md", "docs/moving.md", "docs/operations.md", "docs/troubleshooting.md",
    "docs/upgrading.md", "docs/your-own-service.md",
})  # fmt: skip
"""Those whose `sh` blocks are run below, from the first to the last."""
_CRON = "cron's; the commands are those above"
_OUTSIDE = "an example of a program that is not ours"
_SET_UP = "tests/operations/test_operating.py::test_set_up_and_operating_are_as_described"
_BACKUP = "tests/cli/test_backup.py"
ELSEWHERE: Mapping[str, str] = {
    "make run": "quarry dev, after installing: tests/cli/test_serve.py::test_dev_serves_demo_data_and_takes_its_server_with_it",
    "make test": "this",
    "export DATABASE_MIGRATION_URL=postgresql://admin:…@db.example/quarry": _SET_UP,
    "quarry db create && quarry migrate up && quarry db test": _SET_UP,
    'quarry tenants add acme.example --name "Acme Agency"': _SET_UP,
    "quarry users add acme.example you@acme.example --role owner": _SET_UP,
    "quarry serve": _SET_UP,
    "quarry backup create": "tests/operations/test_operating.py::test_a_move_is_as_described",
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
_OVERVIEW = re.compile(r"quarry (\w+ )?\w+ ?\|")
_CONTENT = re.compile(r"`([\w./-]+)`:")
_NOT_RUN = re.compile(r"<!-- not run: \S.* -->")


def command(line: str) -> str | None:
    """The line without its comment, if somebody is to type it; `quarry pii rotate|key` is an overview."""
    is_typed = _COMMAND.search(line) and not _OVERVIEW.match(line)
    return re.sub(r"\s{2,}#.*", "", line).strip() if is_typed else None


@dataclass(frozen=True)
class Block:
    """A fenced block: language, lines, whether the line before says why it is not run, and the file whose content it is."""

    language: str
    lines: tuple[str, ...]
    is_marked: bool
    path: str = ""


@cache
def blocks(document: str) -> list[Block]:
    """Those of a document, in their order."""
    found, lines, language, before, marked, path = [], [], None, "", False, ""
    for line in (CHECKOUT / document).read_text(encoding="utf-8").splitlines():
        if line.startswith("```") and language is None:
            language, lines, marked = line[3:].strip(), [], bool(_NOT_RUN.fullmatch(before))
            path = named[1] if (named := _CONTENT.fullmatch(before)) else ""
        elif line.startswith("```"):
            found.append(Block(language or "", tuple(lines), marked, path))
            language = None
        else:
            lines.append(line)
        before = line or before
    assert language is None, f"{document} ends inside a block"
    return found


@cache
def said() -> str:
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
