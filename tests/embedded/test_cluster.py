"""The data: made whole or not at all, and kept when their password is lost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from service.embedded.server import running

Query = Callable[[str, str], str]


def test_interrupted_initialisation_leaves_no_broken_data(
    unused: Path,
    query: Query,
    home_of: Callable[[Path], Path],
    eventually: Callable[[Callable[[], bool]], bool],
    user_process: Callable[[Path], AbstractContextManager[subprocess.Popen[str]]],
) -> None:
    with user_process(unused) as first:
        assert eventually(lambda: any(home_of(unused).glob("new-*/data/postgresql.conf")))
        first.kill()
        first.wait()
    assert not (home_of(unused) / "pg18").exists()
    with running(unused) as server:
        assert query(server.url(), "SELECT 1") == "1"
    assert not list(home_of(unused).glob("new-*"))


def test_lost_password_file_is_replaced_by_a_new_password(state: Path, query: Query) -> None:
    with running(state) as first:
        pass
    (state / "password").unlink()
    with running(state) as second:
        assert second.password != first.password
        assert query(second.url(), "SELECT 1") == "1"


def test_text_is_sorted_by_code_point_and_letters_have_a_lower_case(state: Path, query: Query) -> None:
    with running(state) as server:
        assert query(server.url(), "SELECT lower('ÉTÉ')") == "été"
        assert query(server.url(), "SELECT 'Z' < 'a'") == "t"
