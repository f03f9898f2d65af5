"""`quarry seed`."""

from __future__ import annotations

from typing import Any

import pytest


def test_sets_are_listed(local: Any) -> None:
    assert local("seed", "list").out == "base\ndemo\nload\n"


def test_second_run_changes_nothing(local: Any) -> None:
    first, second = local("seed", "run", "demo"), local("seed", "run", "demo")
    assert (first.status, first.out, second.status, second.out) == (0, "", 0, "")
    assert "demo: 3_campaigns.campaigns 10 rows" in first.err
    assert all(line.endswith(" 0 rows") or "tenants 2 rows" in line for line in second.err.splitlines()), second.err


def test_truncate_takes_away_what_run_has_made(local: Any, superuser: Any) -> None:
    local("seed", "run", "demo")
    assert local("seed", "truncate", "demo", "--yes").status == 0
    assert superuser.execute("SELECT count(*) FROM app.tenants").fetchone() == (0,)
    assert "3_campaigns.contents 20 rows" in local("seed", "run", "demo").err


def test_load_set_makes_as_many_rows_as_it_is_told(local: Any, superuser: Any) -> None:
    answer = local("seed", "run", "load", "--tenants", "12", "--users", "3", "--campaigns", "40")
    assert answer.err.splitlines() == [
        "load: 1_tenants.tenants 12 rows", "load: 2_rows.users 36 rows", "load: 2_rows.campaigns 480 rows",
        "load: sealed 36 users",
    ]  # fmt: skip
    assert superuser.execute("SELECT count(*) FROM quarry.campaigns").fetchone() == (480,)
    assert local("seed", "truncate", "load", "--yes").status == 0
    assert superuser.execute("SELECT count(*) FROM app.tenants").fetchone() == (0,)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "demo"), "the set 'demo' is for demonstrations and is refused in production"),
        (("run", "load"), "the set 'load' is for demonstrations and is refused in production"),
        (("truncate", "base", "--yes"), "seeds are not truncated in production"),
    ],
)
def test_production_refuses(inside: Any, arguments: tuple[str, ...], said: str) -> None:
    answer = inside("seed", *arguments, ENVIRONMENT="production", DATABASE_URL="postgresql://localhost/quarry")
    assert (answer.status, answer.err) == (1, f"quarry: {said}\n")


def test_unknown_set_gets_a_suggestion(inside: Any) -> None:
    answer = inside("seed", "run", "dmo")
    assert (answer.status, answer.err) == (1, "quarry: there is no seed set 'dmo'\n  → did you mean 'demo'?\n")
