"""Where the data are when root's server runs as another account."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from service.embedded.errors import EmbeddedError
from service.embedded.placement import OWN_ACCOUNT, Account
from service.embedded.server import running

HomeOf = Callable[[Path], Path]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another account for root only")


@as_root
def test_unreachable_directory_has_its_data_outside_and_keeps_its_permissions(unused: Path, home_of: HomeOf) -> None:
    above = [unused.parent, *unused.parent.parents]
    before = [(path.stat().st_mode, path.stat().st_uid) for path in above]
    with running(unused) as server:
        assert server.data.parent == home_of(unused) != unused
        assert server.data.owner() == OWN_ACCOUNT
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert [(path.stat().st_mode, path.stat().st_uid) for path in above] == before


@as_root
def test_place_outside_is_told_once(unused: Path, home_of: HomeOf) -> None:
    lines: list[str] = []
    with running(unused, say=lines.append) as first:
        pass
    with running(unused, say=lines.append) as second:
        assert second.data == first.data
    assert len(lines) == 1
    assert str(home_of(unused)) in lines[0]


@as_root
def test_reachable_directory_holds_its_data_itself(reachable: Path) -> None:
    with running(reachable) as server:
        assert server.data == reachable / "pg18"
        assert server.data.owner() == OWN_ACCOUNT


@as_root
def test_data_that_another_account_has_stay_with_it(tmp_path: Path) -> None:
    shutil.chown(tmp_path, "nobody", "nogroup")
    assert Account.for_data(tmp_path).uid == pwd.getpwnam("nobody").pw_uid != Account.for_data(tmp_path / "new").uid


@as_root
def test_data_moved_outside_is_found_after_the_state_directory_moved(unused: Path) -> None:
    with running(unused) as before:
        pass
    moved = unused.rename(unused.with_name("moved"))
    with running(moved) as after:
        assert after.data == before.data
    moved.rename(unused)


@as_root
def test_outside_directory_planted_by_somebody_else_is_refused(unused: Path, home_of: HomeOf) -> None:
    with running(unused):
        pass
    outside = home_of(unused)
    os.chown(outside, 65534, -1)
    refusal = pytest.raises(EmbeddedError, match=f"{outside} is not a directory that only root can change")
    with refusal, running(unused):
        pass


@pytest.mark.parametrize(
    ("uid", "gid", "mode"),
    [(0, 0, 0o677), (1, 0, 0o767), (1, 1, 0o776)],
    ids=["owner", "group", "others"],
)
def test_account_without_its_own_bit_does_not_enter(tmp_path: Path, uid: int, gid: int, mode: int) -> None:
    owner = tmp_path.stat()
    account = Account(owner.st_uid + uid, owner.st_gid + gid)
    tmp_path.chmod(mode)
    assert not account.enters(tmp_path)


def test_account_enters_where_all_directories_above_let_it() -> None:
    assert Account(65534, 65534).enters(Path("/usr"))
