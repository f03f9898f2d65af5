"""What the command says of itself, and of wrong usage."""

from __future__ import annotations

from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from service.cli.commands import app


def paths(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The names that lead to every command and group."""
    below = [found for name, each in getattr(command, "commands", {}).items() for found in paths(each, (*path, name))]
    return [path, *below]


COMMANDS = paths(typer.main.get_command(app))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    answer = CliRunner().invoke(app, [*path, "--help"])
    assert answer.exit_code == 0
    assert f"Usage: quarry {' '.join(path)}".strip() in answer.stdout.replace("root", "quarry")
    assert answer.stderr == ""


def test_the_commands_are_those_of_the_contract() -> None:
    assert {" ".join(path) for path in COMMANDS} >= {
        "dev", "serve", "db test", "db create", "db drop", "db roles", "db url", "db stop", "migrate up",
        "migrate down", "migrate pending", "migrate show", "migrate check", "migrate new", "migrate fresh", "seed run",
        "seed truncate", "seed list", "tenants add", "tenants list", "tenants show", "tenants suspend",
        "tenants activate", "tenants export",
        "tenants import", "tenants delete", "users add", "users passwd", "pii rotate", "pii key", "config show",
    }  # fmt: skip


def test_the_exit_statuses_are_documented(embedded: Any) -> None:
    answer = embedded("--help")
    assert (answer.status, answer.err) == (0, "")
    for status in ("0 done", "1 failed", "2 wrong usage", "130 interrupted", "143 terminated"):
        assert status in " ".join(answer.out.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("migrate", "dwn"), "Did you mean 'down'?"),
        (("migrate", "down", "0"), "greater than or equal to 1"),
        (("tenants", "add", "acme.example", "--name", "Acme", "--plan", "gold"), "plans are free, pro, enterprise"),
        (("users", "add", "acme.example", "a@acme.example", "--role", "king"), "roles are"),
    ],
)
def test_wrong_usage_is_told_with_status_2_and_what_would_be_right(arguments: tuple[str, ...], said: str) -> None:
    answer = CliRunner().invoke(app, arguments)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert said in " ".join(answer.stderr.replace("│", " ").split())
