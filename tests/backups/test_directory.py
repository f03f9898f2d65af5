"""A directory of backups: what is listed, what is kept, and what is nobody's business."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from service.backups.directory import Backup, Directory
from service.backups.manifests import BackupError, Manifest, Table
from service.errors import OperatorError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def make(directory: Directory, at: datetime = NOON, database: str = "quarry", content: bytes = b"dump") -> Backup:
    with directory.drafting(database) as draft:
        draft.path.write_bytes(content)
        size, sha256 = draft.digest()
        return draft.publish(
            Manifest(
                name=directory.free_name(database, at), database=database, schema_name="quarry", taken_at=at,
                quarry="0.1.0", server="18.4", tool="18.4", epoch=1, migrations=("0001.create-tenants",),
                tables=(Table(name="app.tenants", rows=2),), size=size, sha256=sha256,
            )
        )  # fmt: skip


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "backups")


def names(directory: Directory) -> list[str]:
    return [entry.name for entry in directory.entries()]


def test_a_name_has_database_and_time(directory: Directory) -> None:
    assert make(directory).path.name == "quarry_backup_20260301_120000.dump"
    assert make(directory).path.name == "quarry_backup_20260301_120001.dump"


def test_only_its_owner_reads_a_backup(directory: Directory) -> None:
    made = make(directory)
    assert {oct(path.stat().st_mode & 0o777) for path in directory.path.iterdir()} == {"0o600"}
    assert oct(made.path.parent.stat().st_mode & 0o777) == "0o700"


def test_the_oldest_is_listed_first(directory: Directory) -> None:
    for hours in (2, 0, 1):
        make(directory, NOON + timedelta(hours=hours))
    assert [name[-6:] for name in names(directory)] == ["120000", "130000", "140000"]


def test_a_backup_is_found_by_name_and_by_path(directory: Directory) -> None:
    made = make(directory)
    elsewhere = Directory(directory.path.parent)
    for name in (made.manifest.name, made.path.name):
        assert directory.find(name) == made
    for path in (made.path, made.path.with_suffix(".json")):
        assert elsewhere.find(str(path)) == made


def test_what_fails_leaves_nothing(directory: Directory) -> None:
    with pytest.raises(ZeroDivisionError), directory.drafting("quarry") as draft:
        draft.path.write_bytes(b"half")
        raise ZeroDivisionError
    assert [path.suffix for path in directory.path.iterdir()] == [".lock"]


def test_what_a_killed_run_has_left_is_not_listed_and_is_gone_after_the_next(directory: Directory) -> None:
    directory.path.mkdir()
    left = directory.path / ".quarry_backup.partial"
    left.write_bytes(b"half")
    assert names(directory) == []
    make(directory)
    assert not left.exists()


def test_one_backup_of_a_database_is_written_at_a_time(directory: Directory) -> None:
    with directory.drafting("quarry"):
        with pytest.raises(OperatorError, match="another backup of quarry"), directory.drafting("quarry"):
            pass
        make(directory, database="other")


def test_the_newest_are_kept(directory: Directory) -> None:
    made = [make(directory, NOON + timedelta(days=day)).manifest.name for day in range(4)]
    assert directory.prune("quarry", 2) == made[:2]
    assert names(directory) == made[2:]
    assert directory.prune("quarry", 2) == []


def test_none_is_deleted_where_all_are_kept(directory: Directory) -> None:
    make(directory)
    assert directory.prune("quarry", 0) == []
    assert len(names(directory)) == 1


def test_files_of_others_are_never_deleted(directory: Directory) -> None:
    make(directory, database="quarry_2")
    for day in range(3):
        make(directory, NOON + timedelta(days=day))
    others = {
        "quarry_backup_20200101_000000.dump": b"without a manifest",
        "quarry_backup_20200101_000001.json": b"{}",
        "quarry_backup_20200101_000002.sql": b"another form",
        "notes.json": b"{}",
    }
    for name, content in others.items():
        (directory.path / name).write_bytes(content)
    directory.prune("quarry", 1)
    left = {path.name for path in directory.path.iterdir()}
    assert left >= {*others, "quarry_2_backup_20260301_120000.dump", "quarry_backup_20260303_120000.dump"}
    assert len([name for name in left if name.startswith("quarry_backup_2026")]) == 2


def test_half_a_backup_is_listed_with_what_is_missing(directory: Directory) -> None:
    first, second = make(directory), make(directory)
    first.path.unlink()
    second.path.with_suffix(".json").unlink()
    problems = [entry.problem for entry in directory.entries()]
    assert [problem and problem.split(".dump")[1] for problem in problems] == [
        " is missing",
        ": its manifest is missing",
    ]


def test_a_renamed_backup_is_not_taken_for_another(directory: Directory) -> None:
    made = make(directory)
    for path in (made.path, made.path.with_suffix(".json")):
        path.rename(path.with_name(f"quarry_backup_20990101_000000{path.suffix}"))
    (entry,) = directory.entries()
    assert entry.problem is not None
    assert "was taken as quarry_backup_20260301_120000" in entry.problem


def test_a_name_that_is_none_is_told(directory: Directory) -> None:
    with pytest.raises(BackupError, match="there is no such backup"):
        directory.find("quarry_backup_20260301_120000")


def test_a_directory_that_is_a_file_is_told(directory: Directory) -> None:
    directory.path.touch()
    with pytest.raises(OperatorError, match="can't be written to"), directory.drafting("quarry"):
        pass


def test_a_database_may_have_any_name(directory: Directory) -> None:
    made = make(directory, database="a/b [c]*")
    assert made.path.name == "a_b__c___backup_20260301_120000.dump"
    assert directory.prune("a/b [c]*", 1) == []
