"""The files of named statements: what they hold, and what a writer may get wrong in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from service import files
from service.statements import query_files
from service.statements.query_files import QueryFile, parse
from service.statements.statement import StatementError

PATH = Path("sql/queries/things.sql")
HEADER = "-- repository: Things\n-- A thing is what there is.\n\n"
FIND = "-- name: find :one\n-- One thing.\nSELECT id FROM things WHERE tenant_id = :tenant_id AND id = :id;\n\n"
COUNT = """\
-- name: count_all :value
-- scope: shared
-- How many
--   there are.
SELECT count(*)
  FROM things;
"""
ALL = sorted(files.sql("queries").glob("*.sql"))


def parsed(text: str) -> QueryFile:
    return parse(text, PATH)


def refused(text: str) -> StatementError:
    with pytest.raises(StatementError) as caught:
        parsed(text)
    assert str(caught.value).startswith(f"{PATH}:{caught.value.line}: ")
    return caught.value


def line_of(text: str, part: str) -> int:
    """The line of the file on which this part begins, from 1."""
    return text[: text.index(part)].count("\n") + 1


# What a file holds.


KNOWN = (
    "known are name, scope, grows, one, unbounded, unordered, crosses, unrun, null, notnull, values, unindexed, calls, unnamed,"
    " fails, filter, planned"
)


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_every_file_parses_and_says_what_each_statement_does(path: Path) -> None:
    file = query_files.read(path)
    assert file.statements
    for statement in file.statements.values():
        assert statement.doc.endswith("."), statement.name
        assert all(
            variant.text.startswith(f"/* {path.stem}.{statement.name} */ ") for variant in statement.variants.values()
        )


def test_there_are_files() -> None:
    assert "campaigns" in {path.stem for path in ALL}


def test_an_aggregate_is_read_once() -> None:
    assert query_files.of_aggregate("campaigns") is query_files.of_aggregate("campaigns")
    assert query_files.of_aggregate("campaigns").path == files.sql("queries", "campaigns.sql")


def test_a_file_names_its_repository() -> None:
    assert parsed(HEADER + FIND).repository == "Things"


def test_statements_are_in_the_order_of_the_file() -> None:
    assert list(parsed(HEADER + FIND + COUNT).statements) == ["find", "count_all"]
    assert list(parsed(HEADER + COUNT + FIND).statements) == ["count_all", "find"]


def test_a_head_says_kind_scope_and_doc() -> None:
    find, count = parsed(HEADER + FIND + COUNT).statements.values()
    assert (find.kind, find.scope, find.doc) == ("one", "tenant", "One thing.")
    assert (count.kind, count.scope, count.doc) == ("value", "shared", "How many there are.")


def test_a_statement_knows_where_it_stands() -> None:
    text = HEADER + FIND + COUNT
    statement = parsed(text).statements["count_all"]
    assert (statement.place.path, statement.place.line) == (PATH, line_of(text, "-- name: count_all"))


def test_the_text_sent_begins_with_file_and_name() -> None:
    assert parsed(HEADER + COUNT).statements["count_all"].variants[0].text == (
        "/* things.count_all */ SELECT count(*)\n  FROM things"
    )


@pytest.mark.parametrize("kind", ["one", "maybe", "many", "value", "count"])
def test_every_result_kind_is_known(kind: str) -> None:
    assert parsed(HEADER + FIND.replace(":one", f":{kind}")).statements["find"].kind == kind


@pytest.mark.parametrize("scope", ["shared", "platform", "owner"])
def test_every_scope_is_known(scope: str) -> None:
    assert parsed(HEADER + COUNT.replace("shared", scope)).statements["count_all"].scope == scope


def test_tenant_scope_may_be_declared() -> None:
    text = FIND.replace("-- One", "-- scope: tenant \n-- One")
    assert parsed(HEADER + text).statements["find"].scope == "tenant"


def test_a_sentence_may_hold_colons() -> None:
    text = FIND.replace("One thing.", "Note: one of :id, see https://example.org.")
    assert parsed(HEADER + text).statements["find"].doc == "Note: one of :id, see https://example.org."


def test_remarks_may_stand_between_statements() -> None:
    text = HEADER + "-- Reading: first part.\n\n" + FIND + "-- When counting.\n/* it */\n" + COUNT
    assert list(parsed(text).statements) == ["find", "count_all"]


def test_blanks_do_not_matter_in_a_name_line() -> None:
    assert list(parsed(HEADER + FIND.replace("find :one", "  find   :one  ")).statements) == ["find"]


def test_line_breaks_of_any_kind_are_read(tmp_path: Path) -> None:
    path = tmp_path / "things.sql"
    path.write_bytes((HEADER + FIND).replace("\n", "\r\n").encode())
    assert query_files.read(path).statements == query_files.parse(HEADER + FIND, path).statements


# Mistakes in a file.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n" + HEADER + FIND,
        FIND,
        "-- Things\n-- A thing is what there is.\n" + FIND,
        "-- repository:\n-- A thing is what there is.\n" + FIND,
        "--repository: Things\n-- A thing is what there is.\n" + FIND,
        "-- repository: Things\n" + FIND,
        "-- repository: Things\n\n-- A thing is what there is.\n" + FIND,
        "-- repository: Things\n-- \n" + FIND,
        "SELECT 1;\n" + FIND,
    ],
)
def test_a_file_opens_with_its_repository_and_a_sentence(text: str) -> None:
    error = refused(text)
    assert (
        error.message == f"{PATH}:1: the file opens with two comment lines: its repository, and what the aggregate is"
    )
    assert error.remedy == "write '-- repository: Campaigns' and a sentence below it"


def test_an_unknown_key_in_the_first_line() -> None:
    error = refused(HEADER.replace("repository", "repo") + FIND)
    assert error.message == f"{PATH}:1: unknown header key 'repo'"
    assert error.remedy == "the first line is '-- repository: …'"


@pytest.mark.parametrize("text", ["SELECT 1;", "/* x */", "  -- indented", "--\n--\nDELETE FROM things;"])
def test_a_statement_without_a_name(text: str) -> None:
    error = refused(HEADER + text + "\n" + FIND)
    assert error.message == f"{PATH}:{4 + text.count(chr(10))}: a statement without a name"
    assert error.remedy == "begin it with '-- name: find :one'"


def test_a_file_has_a_statement() -> None:
    error = refused(HEADER)
    assert (error.message, error.remedy) == (
        f"{PATH}:1: the file has no statement",
        "begin one with '-- name: find :one'",
    )


def test_a_name_is_used_once() -> None:
    text = HEADER + FIND + COUNT + FIND.replace("One", "Another")
    error = refused(text)
    assert error.line == line_of(text, "-- Another") - 1
    assert error.message.endswith(f"the name 'find' is used twice, first at line {line_of(text, '-- name: find')}")


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(StatementError, match=r"things[.]sql:1: the file can't be read: .*No such file"):
        query_files.read(tmp_path / "things.sql")


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "things.sql"
    path.write_bytes((HEADER + FIND).encode() + b"-- gr\xfc\xdfe\n")
    with pytest.raises(StatementError, match=r"things[.]sql:1: the file can't be read: 'utf-8'"):
        query_files.read(path)


# Mistakes in a statement. It stands below two right ones, so that its lines are not the file's.

ABOVE = HEADER + FIND + COUNT


def refused_below(text: str) -> tuple[StatementError, int]:
    """The error, and which line of the statement it names, from 1."""
    error = refused(ABOVE + text)
    return error, error.line - ABOVE.count("\n")


@pytest.mark.parametrize(
    ("value", "message", "remedy"),
    [
        (" add :mabye", "unknown result kind ':mabye'", "did you mean 'maybe'?"),
        (" add :zzz", "unknown result kind ':zzz'", "known are one, maybe, many, value, count"),
        (
            " add",
            "a name line reads '-- name: find_by_email :maybe'",
            "kinds are one, maybe, many, value, count",
        ),
        (
            " add maybe",
            "a name line reads '-- name: find_by_email :maybe'",
            "kinds are one, maybe, many, value, count",
        ),
        (
            " Add :one",
            "a name line reads '-- name: find_by_email :maybe'",
            "kinds are one, maybe, many, value, count",
        ),
        (
            " a-b :one",
            "a name line reads '-- name: find_by_email :maybe'",
            "kinds are one, maybe, many, value, count",
        ),
        (
            "add :one",
            "a name line reads '-- name: find_by_email :maybe'",
            "kinds are one, maybe, many, value, count",
        ),
        (
            " :one",
            "a name line reads '-- name: find_by_email :maybe'",
            "kinds are one, maybe, many, value, count",
        ),
        ("", "a name line reads '-- name: find_by_email :maybe'", "kinds are one, maybe, many, value, count"),
    ],
)
def test_a_name_line_has_a_name_and_a_kind(value: str, message: str, remedy: str) -> None:
    error, line = refused_below(f"-- name:{value}\n-- Adds.\nSELECT :tenant_id;\n")
    assert (line, error.remedy) == (1, remedy)
    assert error.message.endswith(f": {message}")


@pytest.mark.parametrize(
    ("head", "message", "remedy"),
    [
        ("scop: shared", "unknown header key 'scop'", "did you mean 'scope'?"),
        ("retries: 3", "unknown header key 'retries'", KNOWN),
        ("doc:", "unknown header key 'doc'", KNOWN),
        ("scope: sharde", "unknown scope 'sharde'", "did you mean 'shared'?"),
        ("scope: Shared", "unknown scope 'Shared'", "did you mean 'shared'?"),
        ("scope: xyz", "unknown scope 'xyz'", "known are tenant, shared, platform, owner"),
        ("scope:", "unknown scope ''", "known are tenant, shared, platform, owner"),
    ],
)
def test_a_header_is_known(head: str, message: str, remedy: str) -> None:
    error, line = refused_below(f"-- name: add :one\n-- Adds.\n-- {head}\nSELECT :tenant_id;\n")
    assert (line, error.remedy) == (3, remedy)
    assert error.message.endswith(f": {message}")


@pytest.mark.parametrize("head", ["", "--\n", "--  \n", "-- scope: tenant\n", "\n-- Too late.\n", "/* No. */\n"])
def test_a_statement_has_a_sentence_above_it(head: str) -> None:
    error, line = refused_below(f"-- name: add :one\n{head}SELECT :tenant_id;\n")
    assert (line, error.remedy) == (1, "write it above the statement")
    assert error.message.endswith(": 'add' has no sentence that says what it does")


@pytest.mark.parametrize(
    ("text", "named", "message"),
    [
        ("SELECT 1;", 1, "the statement does not name its tenant (:tenant_id)"),
        ("SELECT :tenant_id;\n\nSELECT 2;", 5, "a second statement under one name"),
        (
            "SELECT :tenant_id;\n--name: count :one\n-- Counts.\nSELECT 2;",
            6,
            "a second statement under one name",
        ),
        ("SELECT :tenant_id\n, $2;", 4, "$2 has no name"),
        ("SELECT :tenant_id,\n\n 'x;", 5, "string does not end"),
        ("", 3, "no statement under this name"),
        ("SELECT 1\n WHERE :tenant_id\n OR :a -- when :a\n;", 5, "an optional line begins with AND"),
        ("SELECT :tenant_id\n -- when ever\n;", 4, "'-- when ever' is not a condition"),
        ("SELECT :tenant_id; -- when :a", 3, "'-- when :a' stands after the statement's end"),
    ],
)
def test_a_mistake_in_the_text_is_named_with_its_line(text: str, named: int, message: str) -> None:
    error, line = refused_below(f"-- name: add :one\n-- Adds.\n{text}\n")
    assert line == named
    assert error.message.endswith(f": {message}")


def test_a_mistake_names_its_own_statement_and_not_the_next() -> None:
    error, line = refused_below(f"-- name: add :one\n-- Adds.\nSELECT 1;\n\n{FIND.replace('find', 'next')}")
    assert line == 1
    assert "does not name its tenant" in error.message


def test_a_string_that_does_not_end_does_not_swallow_the_next_statement() -> None:
    error, line = refused_below(f"-- name: add :one\n-- Adds.\nSELECT 'x;\n\n{FIND.replace('find', 'next')}")
    assert (line, error.message.partition(": ")[2]) == (3, "string does not end")


def test_a_statement_has_one_scope() -> None:
    text = "-- repository: Things\n-- Things.\n\n-- name: find :one\n-- scope: shared\n-- scope: platform\n-- One.\nSELECT 1;\n"
    with pytest.raises(StatementError, match=r"things\.sql:6: 'find' has two scopes"):
        parse(text, Path("things.sql"))
