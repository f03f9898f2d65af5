"""Statements with optional lines: their variants, the parameters of each, and what a writer may get wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.statements.lexer import Kind, scan
from service.statements.statement import (
    MAX_CONDITIONS,
    FilePlace,
    Statement,
    StatementError,
    compile_statement,
    suggest,
)

FILE = Path("sql/queries/campaigns.sql")
PAGE = """\
SELECT id, name
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND status = :status                                     -- when :status
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC
 LIMIT :limit;
"""


def compiled(text: str, **options: Any) -> Statement:
    """The statement of a name on line 10 of the file, with its text from line 12 on."""
    known = {"name": "page", "kind": "many", "scope": "tenant", "doc": "One page."} | options
    return compile_statement(text, head=FilePlace(FILE, 10), body=FilePlace(FILE, 12), **known)


def refused(text: str, **options: Any) -> StatementError:
    with pytest.raises(StatementError) as caught:
        compiled(text, **options)
    assert str(caught.value).startswith(f"{FILE}:{caught.value.line}: ")
    return caught.value


def sent(statement: Statement, *given: str) -> str:
    """The text of the variant in which these conditions are given."""
    key = sum(1 << position for position, name in enumerate(statement.conditions) if name in given)
    return statement.variants[key].text


# Variants.


def test_a_statement_without_conditions_has_one_variant() -> None:
    statement = compiled("SELECT id FROM t WHERE tenant_id = :tenant_id AND id = :id;")
    assert list(statement.variants) == [0]
    assert sent(statement) == "/* campaigns.page */ SELECT id FROM t WHERE tenant_id = $1 AND id = $2"


def test_every_combination_of_conditions_has_a_key_of_bits() -> None:
    statement = compiled(PAGE)
    assert statement.conditions == ("status", "after_id")
    assert {key: variant.parameters for key, variant in statement.variants.items()} == {
        0b00: ("tenant_id", "limit"),
        0b01: ("tenant_id", "status", "limit"),
        0b10: ("tenant_id", "after_created_at", "after_id", "limit"),
        0b11: ("tenant_id", "status", "after_created_at", "after_id", "limit"),
    }


def test_with_nothing_left_out_it_is_the_statement_as_written() -> None:
    numbered = PAGE.replace("= :tenant_id", "= $1").replace("= :status", "= $2").replace("LIMIT :limit", "LIMIT $5")
    numbered = numbered.replace("(:after_created_at, :after_id)", "($3, $4)")
    assert sent(compiled(PAGE), "status", "after_id") == "/* campaigns.page */ " + numbered.rstrip(";\n")


def test_a_line_that_is_left_out_takes_its_line_break_along() -> None:
    assert sent(compiled(PAGE), "after_id").split("\n") == [
        "/* campaigns.page */ SELECT id, name",
        "  FROM campaigns",
        " WHERE tenant_id = $1",
        "   AND (created_at, id) < ($2, $3)    -- when :after_id",
        " ORDER BY created_at DESC",
        " LIMIT $4",
    ]


def test_a_left_out_last_line_leaves_no_line_break() -> None:
    text = "SELECT 1\n WHERE t = :tenant_id\n   AND a = :a    -- when :a\n;\n"
    assert sent(compiled(text)) == "/* campaigns.page */ SELECT 1\n WHERE t = $1"
    assert sent(compiled(text), "a") == "/* campaigns.page */ SELECT 1\n WHERE t = $1\n   AND a = $2    -- when :a"


def test_lines_under_one_condition_come_and_go_together() -> None:
    text = "SELECT 1 WHERE t = :tenant_id\nAND a = :a -- when :a\nAND b = 1\nAND c = :c -- when :a"
    statement = compiled(text)
    assert len(statement.variants) == 2
    assert sent(statement).split("\n")[1:] == ["AND b = 1"]
    assert sent(statement, "a").split("\n")[1:] == [
        "AND a = $2 -- when :a",
        "AND b = 1",
        "AND c = $3 -- when :a",
    ]


def test_one_name_is_one_number_in_every_variant() -> None:
    text = "SELECT :b WHERE :tenant_id = :b\nAND a = :a -- when :a\nAND c = :tenant_id AND d = :b"
    statement = compiled(text)
    assert sent(statement).endswith("SELECT $1 WHERE $2 = $1\nAND c = $2 AND d = $1")
    assert sent(statement, "a").endswith("SELECT $1 WHERE $2 = $1\nAND a = $3 -- when :a\nAND c = $2 AND d = $1")


def test_the_most_conditions_have_a_variant_for_every_combination() -> None:
    lines = [f"AND c{number} = :c{number} -- when :c{number}" for number in range(MAX_CONDITIONS)]
    statement = compiled("\n".join(["SELECT 1 WHERE t = :tenant_id", *lines]))
    assert sorted(statement.variants) == list(range(2**MAX_CONDITIONS))
    assert len({variant.text for variant in statement.variants.values()}) == 2**MAX_CONDITIONS


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=6))
def test_a_variant_has_the_lines_of_its_conditions_and_numbers_without_gaps(tags: list[str | None]) -> None:
    lines = [f"AND x{n} = {f':{tag}' if tag else 1}{f' -- when :{tag}' if tag else ''}" for n, tag in enumerate(tags)]
    statement = compiled("\n".join(["SELECT 1 WHERE t = :tenant_id", *lines]))
    for key, variant in statement.variants.items():
        inside = {name for bit, name in enumerate(statement.conditions) if key >> bit & 1}
        assert [f"x{n} =" in variant.text for n in range(len(tags))] == [tag in {*inside, None} for tag in tags]
        numbers = [int(piece.text[1:]) for piece in scan(variant.text) if piece.kind is Kind.POSITIONAL]
        assert list(dict.fromkeys(numbers)) == list(range(1, len(variant.parameters) + 1))
        assert set(variant.parameters) == {"tenant_id", *inside}


def test_white_space_and_remarks_around_a_statement_are_not_sent() -> None:
    assert (
        sent(compiled("\n\n  SELECT :tenant_id  \n ; -- done\n\n/* The next\npart. */\n"))
        == "/* campaigns.page */ SELECT $1"
    )


def test_remarks_within_a_statement_are_sent() -> None:
    assert sent(compiled("/* :a */ SELECT -- :b;\n :tenant_id -- c")) == (
        "/* campaigns.page */ /* :a */ SELECT -- :b;\n $1 -- c"
    )


def test_a_statement_need_not_end_in_a_semicolon() -> None:
    assert sent(compiled("SELECT :tenant_id")) == sent(compiled("SELECT :tenant_id;"))


@pytest.mark.parametrize("literal", ["'-- when :a'", '"-- when :a"', "$$\n-- when :a\n$$", "/* -- when :a */ 1", "';'"])
def test_a_condition_or_semicolon_within_a_literal_is_none(literal: str) -> None:
    statement = compiled(f"SELECT {literal}, :tenant_id")
    assert statement.conditions == ()
    assert sent(statement) == f"/* campaigns.page */ SELECT {literal}, $1"


@pytest.mark.parametrize(
    "line",
    ["and a = :a -- when :a", "AND(a = :a)-- when :a", "/* x */ AND a = :a -- when :a  "],
)
def test_an_optional_line_may_be_written_so(line: str) -> None:
    assert compiled(f"SELECT 1 WHERE t = :tenant_id\n{line}\n").conditions == ("a",)


# Parameters and groups.


def test_parameters_are_in_order_of_first_appearance() -> None:
    assert compiled(PAGE).parameters == ("tenant_id", "status", "after_created_at", "after_id", "limit")


def test_a_group_is_what_occurs_under_one_condition_alone() -> None:
    assert compiled(PAGE).groups == {"status": ("status",), "after_id": ("after_created_at", "after_id")}


def test_a_parameter_that_also_stands_elsewhere_is_in_no_group() -> None:
    text = "SELECT :a WHERE t = :tenant_id\nAND b = :b AND x = :a -- when :b\nAND c = :c AND y = :a -- when :c"
    assert compiled(text).groups == {"b": ("b",), "c": ("c",)}


def test_the_tenant_is_in_no_group() -> None:
    text = "SELECT 1 WHERE t = :tenant_id\nAND u = :tenant_id AND a = :a -- when :a"
    assert compiled(text).groups == {"a": ("a",)}


# Scopes.


@pytest.mark.parametrize("scope", ["shared", "platform"])
def test_outside_tenant_scope_an_optional_line_needs_no_tenant_predicate(scope: str) -> None:
    assert compiled("SELECT 1\n WHERE true\nAND a = :a -- when :a", scope=scope).conditions == ("a",)


@pytest.mark.parametrize("text", ["SELECT 1", "SELECT :tenant_id"])
def test_an_owner_statement_may_name_a_tenant(text: str) -> None:
    assert compiled(text, scope="owner").scope == "owner"


def test_tenant_scope_needs_the_tenant() -> None:
    error = refused("SELECT 1 WHERE id = :id")
    assert error.message == f"{FILE}:10: the statement does not name its tenant (:tenant_id)"
    assert error.remedy.startswith("add 'tenant_id = :tenant_id', or declare '-- scope: shared'")


@pytest.mark.parametrize("tenant", ["':tenant_id'", "tenant_id -- :tenant_id", '":tenant_id"', "tenant_id::text"])
def test_the_tenant_within_a_literal_is_not_named(tenant: str) -> None:
    assert "does not name its tenant" in refused(f"SELECT {tenant}").message


@pytest.mark.parametrize("scope", ["shared", "platform"])
def test_other_scopes_have_no_tenant(scope: str) -> None:
    error = refused("SELECT :tenant_id", scope=scope)
    assert error.line == 10
    assert error.message.endswith(f":tenant_id belongs to tenant scope; a {scope} statement has no tenant")


# Mistakes. The statement's name stands on line 10 of the file, its text begins on line 12.

HEAD = "SELECT 1\n  FROM t\n WHERE tenant_id = :tenant_id\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("OR a = :a -- when :a", "an optional line begins with AND"),
        ("a = :a -- when :a", "an optional line begins with AND"),
        ("'AND' = :a -- when :a", "an optional line begins with AND"),
        ("-- when :a", "an optional line begins with AND"),
        ("AND a = :a OR true -- when :a", "an OR in an optional line stands in parentheses"),
        ("AND tenant_id = :tenant_id -- when :tenant_id", ":tenant_id is always given and is no condition"),
        ("AND (a = :a -- when :a", "an optional line closes the parentheses that it opens"),
        ("AND a = :a) -- when :a", "an optional line closes the parentheses that it opens"),
        ("AND a = :a) OR (true -- when :a", "an optional line closes the parentheses that it opens"),
        ("AND a = :a -- when a", "'-- when a' is not a condition"),
        ("AND a = :a -- wehn :a", "'-- wehn :a' is not a condition"),
        ("AND a = :a -- if :a", "'-- if :a' is not a condition"),
        ("AND a = :a --when :a", "'--when :a' is not a condition"),
        ("AND a = :a --  when :a", "'--  when :a' is not a condition"),
        ("AND a = :a -- when  :a", "'-- when  :a' is not a condition"),
        ("AND a = :a -- when :a, :b", "'-- when :a, :b' is not a condition"),
        ("AND a = :a -- when :a is given", "'-- when :a is given' is not a condition"),
        ("AND a = :a -- when :a;", "'-- when :a;' is not a condition"),
        ("AND a = :a -- WHEN :a", "'-- WHEN :a' is not a condition"),
        ("AND a = :a -- when", "'-- when' is not a condition"),
        ("AND a = :a; -- when :a", "'-- when :a' stands after the statement's end"),
        ("AND a = $1", "$1 has no name"),
        ("; SELECT 2", "a second statement under one name"),
        ("AND a =:a LIMIT:b", ":b touches the 'LIMIT' before it"),
        ("AND a = $:a", ":a touches the '$' before it"),
        ("AND a = 'x", "string does not end"),
        ("AND a = $x$ $$", "string $x$ does not end"),
        ("/* /* */ AND a", "comment does not end"),
        ('AND "a', "quoted identifier does not end"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, message: str) -> None:
    error = refused(f"{HEAD}{line}\n ORDER BY 1")
    assert error.line == 12 + 3
    assert error.message == f"{FILE}:15: {message}"


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("AND a = $1", "write parameters as :name"),
        ("; SELECT 2", "give it a '-- name:' line of its own"),
        ("AND a = :a -- when a", "write '-- when :parameter'"),
        ("AND a = :a; -- when :a", "write the semicolon on the next line"),
        ("LIMIT:a", "put a space between"),
    ],
)
def test_a_mistake_has_a_remedy(line: str, remedy: str) -> None:
    assert refused(HEAD + line).remedy == remedy


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("SELECT 1 WHERE true\nAND a = :a -- when :a\nAND t = :tenant_id", 13),
        ("SELECT :tenant_id\nAND a = :a -- when :a", 13),
        ("SELECT 'WHERE', :tenant_id\nAND a = :a -- when :a", 13),
        ("SELECT ':tenant_id'\nWHERE true\n\nAND a = :a -- when :a\nAND t = :tenant_id", 15),
        ("SELECT 1\nWHERE true AND t = :tenant_id AND a = :a -- when :a", 13),
    ],
)
def test_an_optional_line_stands_after_where_and_tenant(text: str, line: int) -> None:
    error = refused(text)
    assert error.line == line
    assert "an optional line" in error.message


def test_an_optional_line_stands_in_a_where() -> None:
    error = refused("SELECT 1\nAND a = :a -- when :a", scope="shared")
    assert error.message.endswith(":13: an optional line stands in a WHERE, after the tenant predicate")


@pytest.mark.parametrize("literal", ["'\n'", "'\n\n'", "$$\n$$", '"\n"', "'x'\n'y'", "/*\n*/ 1"])
def test_an_optional_line_is_no_part_of_something_longer(literal: str) -> None:
    begins = refused(f"{HEAD}AND a = {literal} AND b = :a -- when :a")
    ends = refused(f"{HEAD}AND a = :a AND b = {literal} -- when :a")
    assert begins.line == ends.line == 15 + literal.count("\n")
    assert "can't be part of a string or comment that spans lines" in begins.message


def test_there_are_at_most_six_conditions() -> None:
    lines = [f"AND c{number} = :c{number} -- when :c{number}" for number in range(MAX_CONDITIONS + 1)]
    error = refused(HEAD + "\n".join(lines))
    assert error.message == f"{FILE}:10: 7 conditions; a statement has at most 6"


def test_a_condition_names_a_parameter_of_the_statement() -> None:
    error = refused(f"{HEAD}AND a = :status -- when :statsu")
    assert error.message == f"{FILE}:10: '-- when :statsu' names no parameter of the statement"
    assert error.remedy == "did you mean 'status'?"


def test_a_parameter_stands_under_one_condition() -> None:
    error = refused(f"{HEAD}AND a = :a AND x = :x -- when :a\nAND b = :b AND x = :x -- when :b")
    assert error.message == f"{FILE}:10: :x stands under several conditions and nowhere else"


@pytest.mark.parametrize("text", ["", "\n\n", ";", "-- a remark", "/* a remark */ ;", "\n;\n-- x"])
def test_a_name_has_a_statement(text: str) -> None:
    error = refused(text)
    assert error.message == f"{FILE}:12: no statement under this name"


def test_an_error_is_placed_where_its_statement_is() -> None:
    error = compiled(PAGE).error("odd", "fix it")
    assert (error.path, error.line, error.message, error.remedy) == (FILE, 10, f"{FILE}:10: odd", "fix it")


def test_what_resembles_nothing_is_answered_with_all_that_is_known() -> None:
    assert suggest("zzz", ["one", "maybe"]) == "known are one, maybe"
