"""The files of a state directory and the locks on them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from service.embedded.state import exclusive, is_unused, open_private, read, share, write


def test_missing_and_empty_files_read_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") is None
    assert read(tmp_path / "missing") is None


def test_written_file_is_private_and_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a longer one")
    write(tmp_path / "password", "new\n")
    assert read(tmp_path / "password") == "new"
    assert stat.S_IMODE((tmp_path / "password").stat().st_mode) == 0o600


def test_link_in_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "start.lock").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic link"):
        open_private(tmp_path / "start.lock")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_file_that_root_makes_belongs_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, -1)
    write(tmp_path / "password", "secret")
    assert (tmp_path / "password").stat().st_uid == 65534


def test_lock_is_unused_once_nobody_else_shares_it(tmp_path: Path) -> None:
    with open_private(tmp_path / "users.lock") as own:
        share(own)
        with open_private(tmp_path / "users.lock") as other:
            share(other)
            assert not is_unused(own)
        assert is_unused(own)


def test_exclusive_lock_is_released_at_the_end(tmp_path: Path) -> None:
    with open_private(tmp_path / "start.lock") as own, open_private(tmp_path / "start.lock") as other:
        with exclusive(own):
            assert not is_unused(other)
        assert is_unused(other)
