"""Pages of the documentation that are made when it is built: the reference from the code, and documents that lie elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
from prometheus_client.metrics import MetricWrapperBase
from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

from service import errors, metrics
from service.api.routes import ENDPOINTS
from service.cli.commands import app
from service.http.answers import STATUS
from service.http.openapi import document

_ROOT = Path(__file__).parent.parent
_ELSEWHERE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md", "reference/sql.md": "sql/README.md"}
_NAMED = re.compile(r"(?<![\w(/`\[])`?(docs/[\w/-]+\.md|sql/README\.md|CONTRIBUTING\.md|CHANGELOG\.md)`?(?!\w)")


def on_config(config: ProperDocsConfig) -> ProperDocsConfig:
    """Add the decisions to the navigation, in their order."""
    decisions = sorted(path.name for path in (_ROOT / "docs" / "decisions").glob("*.md"))
    *_, explanation = config.nav or [{"Explanation": []}]
    explanation["Explanation"].append({"Decisions": [f"decisions/{name}" for name in decisions]})
    return config


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Add the pages that are made here."""
    pages = {
        "reference/settings.md": settings(),
        "reference/commands.md": commands(),
        "reference/requests.md": requests(),
        "reference/metrics.md": counted(),
        "reference/errors.md": problems(),
        **{name: (_ROOT / path).read_text(encoding="utf-8") for name, path in _ELSEWHERE.items()},
    }
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Make links of documents that a text names; none inside a block of code."""
    places = {path: name for name, path in _ELSEWHERE.items()}
    up = "../" * page.file.src_uri.count("/")

    def link(match: re.Match[str]) -> str:
        path = match[1]
        target = places.get(path, path.removeprefix("docs/"))
        return match[0] if files.get_file_from_path(target) is None else f"[{path}]({up}{target})"

    parts = re.split(r"(^```.*?^```$)", markdown, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else _NAMED.sub(link, part) for part in parts)


def settings() -> str:
    """Every setting with its default and what it does: `.env.example`, whose lines a test compares with the settings."""
    return "# Settings\n" + "".join(_settings((_ROOT / ".env.example").read_text(encoding="utf-8").split("\n")))


def _settings(lines: list[str]) -> Iterator[str]:
    said: list[str] = []
    for line in lines:
        if line.startswith("#"):
            said.append(line.removeprefix("#").strip())
            continue
        name, sign, default = line.partition("=")
        if sign:
            yield f"\n**`{name}`**" + (f" (`{default}`)" if default else "") + f"\n: {' '.join(said)}\n"
        elif said:
            yield f"\n{' '.join(said)}\n"
        said = []


def commands() -> str:
    """Every command with its arguments and options, as `--help` shows them."""
    return "# Commands\n" + "".join(_commands("quarry", typer.main.get_command(app)))


def _commands(path: str, command: Any) -> Iterator[str]:
    told = (command.help or "").strip()
    if hasattr(command, "commands"):
        yield f"\n## {path}\n\n{told}\n"
        for name, each in command.commands.items():
            yield from _commands(f"{path} {name}", each)
        return
    context = command.make_context(path, [], resilient_parsing=True)
    yield f"\n### {path}\n\n{told}\n\n```\n{' '.join([path, *command.collect_usage_pieces(context)])}\n```\n"
    options = [each.get_help_record(context) for each in command.params]
    rows = [f"| `{name}` | {text.replace('|', '&#124;')} |" for name, text in filter(None, options)]
    if rows:
        yield "\n" + "\n".join(["| option | what it does |", "|---|---|", *rows]) + "\n"


def requests() -> str:
    """Every request with the permission that it needs, and how it can end."""
    described = document(ENDPOINTS)["paths"]
    lines = ["# Requests", "", "The same with bodies and examples is at `/docs` of a running service.", "",
             "| request | what it does | needs | answers |", "|---|---|---|---|"]  # fmt: skip
    for each in ENDPOINTS:
        operation: Mapping[str, Any] = described.get(each.path, {}).get(each.method.lower(), {})
        answers = ", ".join(operation.get("responses", {}))
        lines.append(f"| `{each.method} {each.path}` | {each.contract.summary} | `{each.permission}` | {answers} |")
    return "\n".join(lines) + "\n"


def counted() -> str:
    """Every metric with its kind, its labels and what it counts."""
    lines = ["# Metrics", "", "| metric | kind | labels | what it tells |", "|---|---|---|---|"]
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            described = next(iter(metric.describe()))
            labels = ", ".join(f"`{name}`" for name in metric._labelnames)  # noqa: SLF001  it tells them no other way
            name = described.name + ("_total" if described.type == "counter" else "")
            lines.append(f"| `{name}` | {described.type} | {labels} | {described.documentation} |")
    return "\n".join(lines) + "\n"


def problems() -> str:
    """Every code that an answer can have, with its status and its detail."""
    lines = ["# Errors", "", "| code | status | detail |", "|---|---|---|"]
    details = {each.code: each.__doc__ for each in vars(errors).values() if hasattr(each, "code") and each.__doc__}
    for code, status in STATUS.items():
        lines.append(f"| `{code}` | {status} | {' '.join((details.get(code) or '').split())} |")
    return "\n".join(lines) + "\n"
