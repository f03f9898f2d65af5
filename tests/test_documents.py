"""What the documents say of commands, settings, metrics, messages and files is so."""

from __future__ import annotations

import re
from typing import Any, get_args

import click
import pytest
import typer.main
import yaml
from prometheus_client.metrics import MetricWrapperBase

from arranging.documents import CHECKOUT, DOCUMENTS, ELSEWHERE, RUN, blocks, command, said, symptoms
from service import metrics
from service.cli.commands import app
from service.http.answers import STATUS
from service.http.limits import LimitName
from service.settings.settings import Settings


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_run_or_says_why_not(document: str) -> None:
    unknown = [
        line
        for block in blocks(document)
        if block.language in ("", "sh", "console", "bash") and not block.is_marked
        if not (block.language == "sh" and document in RUN)
        for line in map(command, block.lines)
        if line is not None and line not in ELSEWHERE
    ]
    assert unknown == [], "run it (RUN), put <!-- not run: reason --> above it, or name what runs it (ELSEWHERE)"


def test_what_is_named_as_running_a_command_is_there() -> None:
    for place in ELSEWHERE.values():
        for path, name in re.findall(r"(tests/[\w/]+(?:\.py)?)(?:::(\w+))?", place):
            assert (CHECKOUT / path).exists()
            assert not name or f"def {name}(" in (CHECKOUT / path).read_text(encoding="utf-8")
    lines = {command(line) for each in DOCUMENTS for block in blocks(each) for line in block.lines}
    assert [line for line in ELSEWHERE if line not in lines] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    text = (CHECKOUT / document).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) if "://" not in link]
    assert [link for link in links if not ((CHECKOUT / document).parent / link).exists()] == []
    named = re.findall(r"`((?:tests|src|docs|sql|bench)/[\w./-]+)`", text)
    written = {block.path for block in blocks(document)}
    assert [path for path in named if path not in written and not (CHECKOUT / path).exists()] == []


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


def test_every_symptom_is_told_in_the_programs_own_words() -> None:
    # PostgreSQL's own, and what tests/cli/test_migrate.py sees.
    theirs = {"canceling statement due to lock timeout", "… is edited", "… is lost"}
    unsaid = [
        text
        for text, is_provoked in symptoms()
        if not is_provoked and text not in theirs
        if not all(part.strip(" :") in said() for part in text.split("…"))
    ]
    assert unsaid == []
    assert len(list(symptoms())) > 20


def test_every_event_of_the_log_is_described() -> None:
    events = {
        event
        for path in (CHECKOUT / "src").rglob("*.py")
        for event in re.findall(r'log\.(?:info|warning|error|exception)\(\s*"([a-z_]+)"', path.read_text())
    }
    described = (CHECKOUT / "docs" / "operations.md").read_text()
    assert len(events) > 30
    assert [event for event in sorted(events) if f"`{event}`" not in described] == []
