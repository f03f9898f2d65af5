"""`quarry config show`, and settings that can't be used."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def quarry(embedded: Any) -> Any:
    """The command without any variable; nothing here starts a server."""
    return embedded


def test_show_masks_every_secret_also_in_json(quarry: Any) -> None:
    secrets = {
        "DATABASE_URL": "postgresql://u:hidden1@h/x?sslpassword=hidden3",
        "DATABASE_MIGRATION_URL": "postgresql://u:hid%40den4@h/x",
        "DATABASE_PASSWORD": "hidden5",
        "REDIS_URL": "redis://:hidden6@h",
        "REDIS_PASSWORD": "hidden7",
    }
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        answer = quarry(*arguments, **secrets)
        assert answer.status == 0
        assert "hid" not in answer.out + answer.err
        assert "postgresql://u:***@h/x?sslpassword=***" in answer.out


def test_show_prints_values_as_env_files_take_them(quarry: Any) -> None:
    answer = quarry("config", "show", DATABASE_CONNECT_TIMEOUT="1500", DATABASE_SSL="1", SESSION_LIFETIME="48h")
    lines = answer.out.splitlines()
    assert {"DATABASE_CONNECT_TIMEOUT=1500ms", "DATABASE_SSL=true", "SESSION_LIFETIME=2d", "REDIS_URL="} <= set(lines)
    (quarry.directory / ".env").write_text(answer.out)
    assert quarry("config", "show").out == answer.out


def test_show_as_json_is_an_object_of_all_settings(quarry: Any) -> None:
    shown = json.loads(quarry("config", "show", "--json", ENVIRONMENT="production").out)
    assert (shown["DATABASE_POOL_MAX"], shown["DATABASE_URL"], shown["DATABASE_SSL"]) == (10, None, False)


def test_unknown_name_is_reported_with_a_suggestion_and_data_stay_clean(quarry: Any) -> None:
    (quarry.directory / ".env").write_text("DATABASE_PULL_MAX=3\n")
    answer = quarry("config", "show", "--json", DATABSE_URL="x", DATABASE_WHATEVER="x")
    assert "quarry: DATABASE_PULL_MAX is not a setting; did you mean DATABASE_POOL_MAX?" in answer.err
    assert "quarry: DATABSE_URL is not a setting; did you mean DATABASE_URL?" in answer.err
    assert "quarry: DATABASE_WHATEVER is not a setting" in answer.err
    assert json.loads(answer.out)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ENVIRONMENT", "prod", "'production'"),
        ("DATABASE_PORT", "abc", "valid integer"),
        ("DATABASE_CONNECT_TIMEOUT", "soon", "30s, 5m or 250"),
        ("DATABASE_URL", "mysql://u:hidden@h/x", "postgresql://user:password@host:5432/database"),
        ("DATABASE_URL", "postgresql://u:hid#den@h/x", "# is %23"),
        ("DATABASE_URL", "postgresql://u:hidden@h:port/x", "postgresql://"),
        ("DATABASE_URL", "postgresql://u:hidden@h", "no database is named"),
        ("DATABASE_URL", "postgresql://u:hidden@h1,h2/x", "one host"),
        ("DATABASE_URL", "postgresql://u:hidden@h/x?sslmode=maybe", "verify-full"),
    ],
)
def test_wrong_value_is_one_line_that_names_the_variable(inside: Any, name: str, value: str, said: str) -> None:
    answer = inside("config", "show", **{name: value})
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith(f"quarry: {name}: ")
    assert said in answer.err
    assert "hid" not in answer.err


def test_several_wrong_values_are_told_together(inside: Any) -> None:
    answer = inside("config", "show", DATABASE_POOL_MAX="0", DATABASE_SSL="maybe")
    assert "DATABASE_POOL_MAX: " in answer.err
    assert "DATABASE_SSL: " in answer.err


def test_unreadable_env_file_is_one_line(quarry: Any) -> None:
    (quarry.directory / ".env").write_bytes(b"\xff\xfe\x00")
    answer = quarry("config", "show")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err.startswith("quarry: .env can't be read")
