"""Columns that can be null, and columns that can't: each statement is proved, and run on rows that show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from checks.proofs import Prover
from conftest import MAJOR
from service.checks.proofs import nullability

# By column: `!` it is never null; `?` it may be, and some row shows it; `~` it never is, which isn't proved.
CASES = {
    "a left join under ORDER BY and LIMIT": (
        "!?", "SELECT p.name, i.kind FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id ORDER BY p.id DESC LIMIT 1"),
    "a left join's own condition says nothing of its nulls": (
        "?", "SELECT i.rate FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id AND i.rate IS NOT NULL"),
    "a right join": ("?!", "SELECT p.name, i.kind FROM gen.person p RIGHT JOIN gen.item i ON i.owner = p.id"),
    "a full join": ("??", "SELECT p.name, i.kind FROM gen.person p FULL JOIN gen.item i ON i.owner = p.id"),
    "a full join USING has either side's column": (
        "!??", "SELECT id, p.name, i.kind FROM gen.person p FULL JOIN gen.live i USING (id)"),
    "a full join USING of nullable columns": (
        "?", "SELECT note FROM gen.tag t FULL JOIN gen.config c USING (note)"),
    "a full join USING, filled by another": (
        "?", "SELECT j.id FROM gen.config c LEFT JOIN (gen.person p FULL JOIN gen.item i USING (id)) j ON c.level = 7"),
    "a join under an alias of its own": (
        "!?", "SELECT j.a, j.k FROM (gen.person p LEFT JOIN gen.item i ON i.owner = p.id) j (a, b, c, d, e, f, g, h, i, o, k)"),
    "a join inside the nullable side": (
        "!??", ("SELECT p.id, i.id, t.label FROM gen.person p LEFT JOIN (gen.item i JOIN gen.tag t ON t.item_id = i.id)"
        " ON i.owner = p.id")),
    "a whole row of an outer join": (
        "?", "SELECT i FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id"),
    "a lateral sub-select of an outer join": (
        "?", "SELECT s.v FROM gen.person p LEFT JOIN LATERAL (SELECT p.id AS v WHERE p.active) s ON true"),
    "behind a view": ("!??", "SELECT name, kind, price FROM gen.owned"),
    "behind a view that rejects nulls": ("!", "SELECT rate FROM gen.live"),
    "WHERE makes a left join an inner one": (
        "!?", "SELECT i.kind, i.rate FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id WHERE i.price > 0"),
    "and its condition so holds": (
        "!", "SELECT i.owner FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id WHERE i.price > 0"),
    "OR rejects what both sides do": (
        "?!", "SELECT nick, code FROM gen.person WHERE (nick = 'b' AND code IS NOT NULL) OR code > 0"),
    "NOT of a comparison": ("!", "SELECT nick FROM gen.person WHERE NOT (nick = 'x')"),
    "NOT of a comparison with no element": ("?", "SELECT nick FROM gen.person WHERE NOT (nick = ANY ('{}'::text[]))"),
    "ALL of no element": ("?", "SELECT nick FROM gen.person WHERE nick <> ALL ('{}'::text[])"),
    "ANY of elements": ("!", "SELECT nick FROM gen.person WHERE nick = ANY ('{b,c}'::text[])"),
    "IS TRUE": ("!", "SELECT opted FROM gen.person WHERE opted IS TRUE"),
    "IS NOT TRUE": ("?", "SELECT opted FROM gen.person WHERE opted IS NOT TRUE"),
    "a distinction is no comparison": ("?", "SELECT nick FROM gen.person WHERE nick IS DISTINCT FROM 'b'"),
    "COALESCE in WHERE": ("?", "SELECT nick FROM gen.person WHERE coalesce(nick, 'b') = 'b'"),
    "a row that is not null": ("~", "SELECT i.kind FROM gen.person p LEFT JOIN gen.item i ON true WHERE i IS NOT NULL"),
    "ROLLUP": ("?!", "SELECT name, count(*) FROM gen.person GROUP BY ROLLUP (name)"),
    "inside an expression over ROLLUP": ("?", "SELECT upper(name) FROM gen.person GROUP BY ROLLUP (name)"),
    "ROLLUP of an expression": ("?", "SELECT lower(upper(name)) FROM gen.person GROUP BY ROLLUP (upper(name))"),
    "ROLLUP of a constant": ("?!", "SELECT 'x'::text AS k, count(*) FROM gen.person GROUP BY ROLLUP (k)"),
    "GROUPING SETS": ("?", "SELECT name FROM gen.person GROUP BY GROUPING SETS ((name), ())"),
    "a sub-select over ROLLUP": ("?", "SELECT (SELECT p.name) FROM gen.person p GROUP BY ROLLUP (p.name)"),
    "ROLLUP of a left join": (
        "?!", "SELECT i.kind, count(*) FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id GROUP BY ROLLUP (i.kind)"),
    "groups": ("!?!", "SELECT max(id), max(nick), array_agg(nick) FROM gen.person GROUP BY id"),
    "a filtered aggregate": (
        "!?!", "SELECT name, max(id) FILTER (WHERE id > 5), count(*) FILTER (WHERE false) FROM gen.person GROUP BY name"),
    "an aggregate over ROLLUP": ("?", "SELECT max(id) FROM gen.person WHERE false GROUP BY GROUPING SETS (())"),
    "an aggregate over everything": ("?!", "SELECT max(id), count(*) FROM gen.person WHERE false"),
    "an aggregate of a query around it": (
        "?", "SELECT (SELECT max(p.id)) FROM gen.person p WHERE false"),
    "an empty window frame": (
        "?!", ("SELECT sum(id) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING), row_number() OVER ()"
        " FROM gen.person")),
    "a rank within a group that is not there": (
        "!~", "SELECT count(*), rank(1) WITHIN GROUP (ORDER BY id) FROM gen.person"),
    "tiles of no number": ("?", "SELECT ntile(NULL) OVER () FROM gen.person"),
    "a scalar sub-select": (
        "?!!", ("SELECT (SELECT i.kind FROM gen.item i WHERE i.id = p.id + 7), (SELECT count(*) FROM gen.item), EXISTS (SELECT)"
        " FROM gen.person p")),
    "a scalar sub-select that may drop its row": (
        "????", ("SELECT (SELECT count(*) HAVING false), (SELECT count(*) LIMIT 0), (SELECT count(*) OFFSET 1),"
        " (SELECT 1 WHERE false)")),
    "a comparison with a sub-select": ("?", "SELECT 1 IN (SELECT boss FROM gen.person WHERE boss IS NULL)"),
    "UNION with a branch of null": ("?", "SELECT 1 UNION ALL SELECT NULL"),
    "INTERSECT with a side that is never null": ("!", "SELECT boss FROM gen.person INTERSECT SELECT id FROM gen.person"),
    "EXCEPT of what may be null": ("?", "SELECT boss FROM gen.person EXCEPT SELECT id FROM gen.person"),
    "VALUES": ("!?", "SELECT * FROM (VALUES (1, 1), (2, NULL)) v"),
    "expressions": (
        "!?!!?", ("SELECT coalesce(nick, ''), nullif(id, 1), greatest(boss, id), nick IS NULL, CASE WHEN active THEN id END"
        " FROM gen.person")),
    "functions that answer null": (
        "????", "SELECT array_length('{}'::int[], 1), substring('x' FROM 'y'), to_char(interval '1 day', ''), ('{1}'::int[])[2]"),
    "an array of no array": ("?", "SELECT concat(VARIADIC NULL::text[])"),
    "an object of no array": ("?", "SELECT jsonb_build_object(VARIADIC NULL::text[])"),
    "arguments that are null": ("!!", "SELECT concat('a', NULL), jsonb_build_array(NULL)"),
    "sets side by side": ("?~", "SELECT generate_series(1, 1), generate_series(1, 2)"),
    "a set within a set": ("~", "SELECT generate_series(1, generate_series(1, 2))"),
    "a set alone": ("!", "SELECT generate_series(1, 2)"),
    "sets in FROM": ("?~", "SELECT * FROM ROWS FROM (generate_series(1, 1), generate_series(1, 2)) f (a, b)"),
    "a set with its numbers": ("?!", "SELECT * FROM unnest('{1,NULL}'::int[]) WITH ORDINALITY"),
    "a row as a function in FROM": ("?", "SELECT * FROM CAST(ROW(NULL) AS gen.single) f"),
    "a function of each row": ("?!", "SELECT n, l FROM gen.person p, lower(p.nick) n, lower(p.name) l"),
    "comparisons with a list": ("??!", "SELECT boss IN (1, 2), id IN (0, boss), id IN (1, 2) FROM gen.person"),
    "an UPDATE of what WHERE requires": ("?", "UPDATE gen.person SET nick = NULL WHERE nick IS NOT NULL RETURNING nick"),
    "the same in WITH": (
        "?!", "WITH c AS (UPDATE gen.person SET code = NULL WHERE code IS NOT NULL RETURNING code, id) SELECT code, id FROM c"),
    "the same through a view": ("?", "UPDATE gen.live SET rate = NULL WHERE rate > 0 RETURNING rate"),
    "what an UPDATE reads beside": (
        "!?", ("UPDATE gen.person p SET nick = NULL FROM gen.item i WHERE i.owner = p.id AND i.rate IS NOT NULL"
        " RETURNING i.rate, p.nick")),
    "a DELETE": ("!?", "DELETE FROM gen.tag WHERE note IS NOT NULL OR weight IS NULL RETURNING label, note"),
    "a DELETE of what WHERE requires": ("!", "DELETE FROM gen.tag WHERE note IS NOT NULL RETURNING note"),
    "an INSERT": ("!?", "INSERT INTO gen.tag SELECT 9, 'l', NULL, note FROM gen.config RETURNING label, note"),
    "a recursion that gives null later": (
        "!?", ("WITH RECURSIVE r (n, v) AS (SELECT 1, 1 UNION ALL SELECT n + 1, nullif(v, 1) FROM r WHERE n < 3)"
        " SELECT n, v FROM r")),
    "a recursion within a recursion": (
        "!?", ("WITH RECURSIVE a (n, v) AS (SELECT 1, 1 UNION ALL SELECT n + 1, w FROM (WITH RECURSIVE b (n, w) AS ("
        "SELECT n, nullif(v, 1) FROM a UNION ALL SELECT n + 10, w FROM b WHERE n < 3) SELECT n, w FROM b) s WHERE n < 3)"
        " SELECT n, v FROM a")),
    "columns that go round": (
        "!??", ("WITH RECURSIVE r (n, a, b) AS (SELECT 1, 1, NULL::int UNION ALL SELECT n + 1, b, a FROM r WHERE n < 3)"
        " SELECT * FROM r")),
    "a secured table": ("!?", "SELECT id, body FROM gen.secret"),
}  # fmt: skip

SINCE_18 = {
    "JSON's null cast": ("??", "SELECT ('null'::jsonb)::int, ('null'::jsonb)::text::jsonb::boolean"),
    "rows before and after": ("?!", "INSERT INTO gen.tag VALUES (9, 'l') RETURNING old.label, label"),
    "rows after a DELETE": ("?!", "DELETE FROM gen.tag RETURNING new.label, label"),
}


def _cases() -> Iterator[Any]:
    for name, (expected, text) in CASES.items():
        yield pytest.param(text, expected, id=name)
    older = pytest.mark.skipif(MAJOR < 18, reason="PostgreSQL 18 has it")
    for name, (expected, text) in SINCE_18.items():
        yield pytest.param(text, expected, id=name, marks=older)


@pytest.mark.parametrize(("text", "expected"), list(_cases()))
async def test_a_column_is_called_null_as_it_is(prover: Prover, text: str, expected: str) -> None:
    verdicts = nullability.prove((await prover.describe(text)).scope)
    assert [each.is_nullable for each in verdicts] == [mark != "!" for mark in expected], verdicts
    rows = await prover.answers(text)
    for number, mark in enumerate(expected):
        assert any(row[number] is None for row in rows) == (mark == "?"), rows


@pytest.mark.parametrize(("given", "expected"), [(frozenset({1}), "!!"), (frozenset(), "?!")])
async def test_a_parameter_is_null_unless_it_is_always_given(
    prover: Prover, given: frozenset[int], expected: str
) -> None:
    scope = (await prover.describe("SELECT $1::int, coalesce($1::int, 0)")).scope
    assert [each.is_nullable for each in nullability.prove(scope, given)] == [mark == "?" for mark in expected]


async def test_a_verdict_says_why(prover: Prover) -> None:
    text = "SELECT i.kind, p.name FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id"
    first, second = nullability.prove((await prover.describe(text)).scope)
    assert first.why == "i.kind: left join i fills it with null where no row matches"
    assert second.why == "name is NOT NULL in gen.person"
