"""What the operating system and PostgreSQL say, in one line for the operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.embedded.errors import EmbeddedError, reason
from service.embedded.server import running


def test_refusal_of_the_operating_system_names_the_file_and_a_remedy(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.touch()
    with (
        pytest.raises(EmbeddedError, match=rf"cannot be used: File exists \({taken}\)") as raised,
        running(taken),
    ):
        pass
    assert raised.value.remedy == "correct that, or set DATABASE_URL"


@pytest.mark.parametrize(
    ("output", "named"),
    [
        ("LOG:  x\nFATAL:  no room\nHINT:  make some\nLOG:  bye\n", "FATAL:  no room HINT:  make some"),
        ("initdb: error: no room\ninitdb: removing\n", "error: no room"),
        ("first\nlast\n", "last"),
        ("", "it printed nothing"),
    ],
)
def test_last_failure_is_the_reason(output: str, named: str) -> None:
    assert reason(output) == named
