"""From a byte of a text as it was sent to the place in the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.checks import entries as catalogue
from service.checks import spans
from service.checks.findings import Span
from service.statements import query_files
from service.statements.lexer import Kind, scan
from service.statements.statement import Statement
from service.work import Work

PATH = Path("things.sql")
PAGE = """-- repository: Things
-- Things are for tests.

-- name: page :many
-- grows: tenant
-- A page of „Dinge“.
SELECT id, 'ä€😀' AS signs, nmae   -- and so on: ✓
  FROM things
 WHERE tenant_id = :tenant_id
   AND colour = :colour                       -- when :colour
   AND (a, b) < (:after_a, :after_b)          -- when :after_b
 ORDER BY a, b
 LIMIT :limit;
"""


def statement(text: str = PAGE) -> Statement:
    return query_files.parse(text, PATH).statements["page"]


def found(key: int, piece: str) -> str:
    """The place of a piece of a variant's text, as `line:column piece of the file`."""
    page = statement()
    offset = len(page.variants[key].text.partition(piece)[0].encode())
    return shown(spans.at(page, key, offset))


def shown(span: Span, text: str = PAGE) -> str:
    piece = text.split("\n")[span.line - 1][span.column : span.column + span.length]
    return f"{span.line}:{span.column} {piece}"


def test_a_word_after_characters_of_several_bytes_is_found() -> None:
    assert found(0, "nmae") == "7:27 nmae"
    assert found(0, "things\n") == "8:7 things"


@pytest.mark.parametrize("key", [0, 1, 2, 3])
def test_optional_lines_that_are_left_out_move_nothing(key: int) -> None:
    assert found(key, "ORDER") == "12:1 ORDER"
    limit = "$" + str(len(statement().variants[key].parameters))
    assert found(key, limit) == "13:7 :limit"


def test_a_place_in_an_optional_line_is_found_with_and_without_the_one_before() -> None:
    assert found(1, "colour") == found(3, "colour") == "10:7 colour"
    assert found(2, "b) <") == found(3, "b) <") == "11:11 b"


def test_a_place_between_two_words_is_the_next_one() -> None:
    assert found(0, "   -- and") == "8:2 FROM"


@pytest.mark.parametrize("offset", [-1, 10_000])
def test_no_place_is_the_whole_statement(offset: int) -> None:
    assert shown(spans.at(statement(), 0, offset)) == "4:9 page"


def test_parameters_words_and_lines_are_found_where_they_first_stand() -> None:
    page = statement()
    assert shown(spans.of_parameter(page, "after_b")) == "11:27 :after_b"
    assert shown(spans.of_word(page, "TENANT_id")) == "9:7 tenant_id"
    assert spans.of_line(page, 5) == Span(PATH, 5)
    assert spans.of_word(page, "nowhere") == spans.of_parameter(page, "nowhere") == spans.whole(page)


def test_every_lexeme_of_the_service_is_found_again() -> None:
    for entry in catalogue.entries(Work):
        lines = entry.statement.place.path.read_text().split("\n")
        for key in {0, max(entry.statement.variants)}:
            variant = entry.statement.variants[key]
            begin, offset = variant.text.index("*/ ") + 3, 0
            sent = []
            for lexeme in scan(variant.text[begin:]):
                if lexeme.kind not in (Kind.SPACE, Kind.COMMENT):
                    sent.append((len(variant.text[:begin].encode()) + offset, lexeme))
                offset += len(lexeme.text.encode())
            for at, lexeme in [*sent[:: max(1, len(sent) // 8)], sent[-1]]:
                span = spans.at(entry.statement, key, at)
                piece = lines[span.line - 1][span.column : span.column + span.length]
                is_parameter = lexeme.kind is Kind.POSITIONAL
                wanted = f":{variant.parameters[int(lexeme.text[1:]) - 1]}" if is_parameter else lexeme.text
                assert piece == wanted.split("\n")[0], (entry.label, key, at)
