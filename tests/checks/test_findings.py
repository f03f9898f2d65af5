"""How findings are printed: as a compiler prints its errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from service.checks.findings import Finding, Span, printed

TEXT = "-- name: find :one\n-- One thing.\nSELECT id, 'ü' AS u, nmae\n  FROM things;\n"
FOUND = Finding(
    "refused",
    "things.find",
    Span(Path("things.sql"), 3, 21, 4),
    'PostgreSQL refuses it: column "nmae" does not exist',
    "SQLSTATE 42703",
    "compare it with sql/schema.sql",
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the file."""
    (tmp_path / "things.sql").write_text(TEXT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_finding_is_a_block_that_shows_the_place_the_proof_and_the_remedy() -> None:
    assert "\n".join(printed([FOUND])) == (
        'things.sql:3:22: error[refused]: things.find: PostgreSQL refuses it: column "nmae" does not exist\n'
        "    3 | SELECT id, 'ü' AS u, nmae\n"
        "      |                      ^^^^\n"
        "  proved: SQLSTATE 42703\n"
        "  → compare it with sql/schema.sql"
    )


def test_a_file_below_the_working_directory_is_named_from_there(folder: Path) -> None:
    [block] = printed([replace(FOUND, span=replace(FOUND.span, path=folder / "things.sql"))])
    assert block.startswith("things.sql:3:22: ")
    [block] = printed([replace(FOUND, span=replace(FOUND.span, path=folder.parent / "other.sql"))])
    assert block.startswith(f"{folder.parent}/other.sql:3:22: ")


def test_a_line_is_shown_without_a_mark_where_all_of_it_is_meant() -> None:
    [block] = printed([replace(FOUND, span=Span(Path("things.sql"), 2), proved="", remedy="")])
    assert block.split("\n")[1:] == ["    2 | -- One thing."]


@pytest.mark.parametrize(
    "span",
    [Span(Path("nowhere.sql"), 1), Span(Path("things.sql"), 99), Span(Path(), 1)],
    ids=["no-file", "no-line", "a-folder"],
)
def test_a_place_that_can_not_be_shown_is_named_all_the_same(span: Span) -> None:
    [block] = printed([replace(FOUND, span=span, proved="")])
    assert block.split("\n")[0].startswith(f"{span.path}:{span.line}:1: error[refused]: ")
    assert block.split("\n")[1:] == ["  → compare it with sql/schema.sql"]


def test_a_note_says_that_it_is_one() -> None:
    [block] = printed([replace(FOUND, is_note=True)])
    assert "things.sql:3:22: note[refused]: " in block


def test_findings_are_in_the_order_of_files_lines_and_columns() -> None:
    places = [("b.sql", 1, 0), ("a.sql", 9, 5), ("a.sql", 9, 1), ("a.sql", 10, 0)]
    blocks = list(printed(replace(FOUND, span=Span(Path(path), line, column)) for path, line, column in places))
    assert [block.partition(": ")[0] for block in blocks] == ["a.sql:9:2", "a.sql:9:6", "a.sql:10:1", "b.sql:1:1"]


def test_programs_read_the_same() -> None:
    assert FOUND.as_json == {
        "code": "refused",
        "level": "error",
        "subject": "things.find",
        "file": "things.sql",
        "line": 3,
        "column": 22,
        "length": 4,
        "message": 'PostgreSQL refuses it: column "nmae" does not exist',
        "proved": "SQLSTATE 42703",
        "remedy": "compare it with sql/schema.sql",
    }
    assert replace(FOUND, is_note=True).as_json["level"] == "note"
