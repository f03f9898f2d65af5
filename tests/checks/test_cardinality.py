"""How many rows there can be, and whether their order leaves a choice: each statement is proved, and run on rows that show it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from checks.proofs import Prover
from conftest import MAJOR
from service.checks.proofs import cardinality, orders

_LEFT = "gen.item i LEFT JOIN gen.person p ON p.id = 1 AND i.owner = 1"

ONE = {
    "a primary key": "SELECT * FROM gen.person WHERE id = 1",
    "a primary key in parentheses and a conjunction": "SELECT * FROM gen.person WHERE (active AND (1 = id))",
    "a unique column that may be null": "SELECT * FROM gen.person WHERE code = 10",
    "a partial key with its predicate": "SELECT * FROM gen.item WHERE owner = 1 AND kind = 'x' AND deleted_at IS NULL",
    "a key that a policy completes": "SELECT * FROM gen.secret WHERE id = 1",
    "a table of one row": "SELECT * FROM gen.config",
    "a join by keys": "SELECT * FROM gen.tag t JOIN gen.item i ON i.id = t.item_id JOIN gen.person p ON p.id = i.owner"
    " WHERE t.item_id = 1 AND t.label = 'red'",
    "a left join by its key": "SELECT * FROM gen.item i LEFT JOIN gen.person p ON p.id = i.owner WHERE i.id = 3",
    "a key that a left join's row gives": "SELECT * FROM gen.item i LEFT JOIN gen.person p ON p.id = i.owner"
    " LEFT JOIN gen.person b ON b.id = p.boss WHERE i.id = 1",
    "a key by what is in a left join's row's stead": f"SELECT * FROM {_LEFT} JOIN gen.person b ON b.id = coalesce(p.boss, 2)"
    " WHERE i.id = 1",
    "an aggregate over everything": "SELECT count(*) FROM gen.person",
    "HAVING without groups": "SELECT 1 FROM gen.person HAVING true",
    "one group": "SELECT owner, count(*) FROM gen.item WHERE owner = 1 GROUP BY owner",
    "a group of what it is grouped by": "SELECT * FROM (SELECT owner, count(*) FROM gen.item GROUP BY owner) s WHERE owner = 1",
    "LIMIT 1": "SELECT * FROM gen.person LIMIT 1",
    "nothing to read": "SELECT 1",
    "a function of a row": "SELECT * FROM gen.person p, lower(p.name) WHERE p.id = 1",
    "a key from a sub-select": "SELECT * FROM gen.person WHERE id = (SELECT max(boss) FROM gen.person)",
    "an UPDATE by key": "UPDATE gen.person SET boss = 3 WHERE id = 1 RETURNING id",
    "an UPDATE by key, of many": "UPDATE gen.person p SET boss = i.id FROM gen.item i WHERE p.id = 1 RETURNING p.id",
    "a row inserted": "INSERT INTO gen.tag VALUES (9, 'l') RETURNING *",
    "what is changed or else is there": "WITH c AS (UPDATE gen.person SET boss = 1 WHERE id = 1 AND active RETURNING id)"
    " SELECT id FROM c UNION ALL SELECT id FROM gen.person WHERE id = 1 AND NOT EXISTS (SELECT FROM c)",
    "a common row": "SELECT id FROM gen.person INTERSECT SELECT id FROM gen.item WHERE id = 1",
}

# Each of these answers several rows.
MANY = {
    "no key": "SELECT * FROM gen.person WHERE name = 'bob'",
    "a part of a key": "SELECT * FROM gen.tag WHERE item_id = 1",
    "a unique column that is null": "SELECT * FROM gen.person WHERE code IS NULL",
    "a unique column that is null twice": "SELECT * FROM gen.person WHERE code IS NOT DISTINCT FROM NULL",
    "a partial key without its predicate": "SELECT * FROM gen.item WHERE owner = 1 AND kind = 'x'",
    "a key or something else": "SELECT * FROM gen.person WHERE id = 1 OR boss = 1",
    "a key of a list": "SELECT * FROM gen.person WHERE id = ANY ('{1,2}')",
    "a full join of two single rows": "SELECT * FROM (SELECT 1 AS a) x FULL JOIN (SELECT 2 AS b) y ON x.a = y.b",
    "a left join's condition on its other side": "SELECT * FROM gen.person p LEFT JOIN gen.config c ON p.id = 1",
    "FETCH FIRST 1 ROW WITH TIES": "SELECT * FROM gen.person ORDER BY name DESC FETCH FIRST 1 ROW WITH TIES",
    "LIMIT of a function of 0": "SELECT * FROM gen.person LIMIT acosd(0::float8)",
    "LIMIT of a function of 1": "SELECT * FROM gen.person LIMIT gen.many(1)",
    "a lateral function of itself": "SELECT * FROM gen.word t, LATERAL lower(t.word) g WHERE lower(t.word) = g",
    "a row that depends on a function of itself": "SELECT * FROM gen.word t, LATERAL lower(t.word) g WHERE t.word = g",
    "a set in the columns": "SELECT generate_series(1, 2)",
    "a set in the columns of a group": "SELECT generate_series(1, 2), count(*) FROM gen.person",
    "a set that is inserted": "INSERT INTO gen.tag SELECT 8, generate_series(1, 2)::text RETURNING *",
    "rows inserted": "INSERT INTO gen.tag VALUES (9, 'l'), (9, 'm') RETURNING *",
    "groups of what a left join fills": f"SELECT p.name, count(*) FROM {_LEFT} GROUP BY p.name",
    "groups of what a left join fixes": f"SELECT p.id, count(*) FROM {_LEFT} GROUP BY p.id",
    "groups of what a full join fixes": "SELECT c.level FROM gen.config c FULL JOIN gen.person p ON c.level = p.id"
    " GROUP BY c.level",
    "groups of what equal numbers are not the same in": "SELECT price::text, count(*) FROM gen.item WHERE price = 1"
    " GROUP BY price::text",
    "a key by what equal numbers are not the same in": "SELECT i.id FROM gen.item i, LATERAL (SELECT scale(i.price) AS s) g"
    " WHERE i.price = 1 AND i.id = g.s",
    "rows that tell each other by what is in a row's stead": "SELECT a.id FROM gen.person a LEFT JOIN gen.person b"
    " ON b.id = 1 AND a.active JOIN gen.person c ON c.id = coalesce(b.code - 8, 3) WHERE a.id = c.id",
    "grouping sets": "SELECT id, count(*) FROM gen.person WHERE id = 1 GROUP BY ROLLUP (id)",
    "a local time that is a moment": "SET LOCAL timezone = 'America/New_York'; SELECT local FROM gen.moment"
    " WHERE local = timestamptz '2024-03-10 07:30Z'",
    "both sides of a UNION": "SELECT 1 UNION ALL SELECT 1",
    "two rows or one": "WITH c AS (SELECT 1 AS id) SELECT id FROM c UNION ALL SELECT 2 WHERE EXISTS (SELECT FROM c)",
    "a row of HAVING, and one when there is none": "WITH c AS (DELETE FROM gen.person WHERE id = 9 RETURNING id)"
    " SELECT 1 FROM c HAVING true UNION ALL SELECT 2 WHERE NOT EXISTS (SELECT FROM c)",
    "a row, and one when a set of it is empty": "WITH c AS (SELECT id FROM gen.person WHERE id = 1)"
    " SELECT id FROM c UNION ALL SELECT 2 WHERE NOT EXISTS (SELECT generate_series(1, 0) FROM c)",
    "a recursion": "WITH RECURSIVE r (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT n FROM r",
    "rows updated": "UPDATE gen.person SET boss = 3 WHERE boss = 1 RETURNING id",
}

# By chance these answer one row, or the proof is not made.
UNPROVED = {
    "a key that is drawn for every row": "SELECT * FROM gen.person WHERE id = 1 + floor(random() * 3)",
    "a key from a row that may be drawn again": "SELECT * FROM gen.person p, (SELECT 1 + floor(random() * 3)::int AS n) r"
    " WHERE p.id = r.n",
    "a key from VALUES that may be drawn again": "SELECT * FROM gen.person p, (VALUES (1 + floor(random() * 3)::int)) r (n)"
    " WHERE p.id = r.n",
    "a partial key behind its view, of a column that may be null there": "SELECT * FROM gen.live WHERE owner = 1 AND kind = 'x'",
    "another collation": "SELECT * FROM gen.word WHERE word = 'a' COLLATE \"C\"",
    "two rows that tell each other": "SELECT * FROM gen.person a, gen.person b WHERE a.id = b.boss AND b.id = a.boss",
}

TOTAL = {
    "a key": "SELECT name FROM gen.person ORDER BY id",
    "a key in the end": "SELECT id FROM gen.person ORDER BY name, id",
    "keys of both sides": "SELECT p.id FROM gen.person p LEFT JOIN gen.item i ON i.owner = p.id ORDER BY p.id, i.id",
    "a key of the side that finds one row": "SELECT i.id FROM gen.item i LEFT JOIN gen.person p ON p.id = i.owner ORDER BY i.id",
    "a unique column whose nulls are rejected": "SELECT id FROM gen.person WHERE code > 0 ORDER BY code",
    "the rest of a key": "SELECT label FROM gen.tag WHERE item_id = 1 ORDER BY label",
    "the rest of a key that a policy begins": "SELECT body FROM gen.secret ORDER BY id",
    "what it is grouped by": "SELECT name, count(*) FROM gen.person GROUP BY name ORDER BY name",
    "distinct columns": "SELECT DISTINCT name, boss FROM gen.person ORDER BY boss, name",
    "columns of a UNION": "SELECT name FROM gen.person UNION SELECT label FROM gen.tag ORDER BY name",
    "what was written": "WITH w AS (UPDATE gen.person SET boss = 1 RETURNING id, name) SELECT name FROM w ORDER BY id",
    "a key after DISTINCT ON": "SELECT DISTINCT ON (name) name, id FROM gen.person ORDER BY name, id",
    "no columns": "SELECT FROM gen.person",
}

# In each of these, rows are equal.
PARTIAL = {
    "no order": "SELECT id FROM gen.person",
    "no key": "SELECT id FROM gen.person ORDER BY name",
    "a unique column that may be null": "SELECT id FROM gen.person ORDER BY code",
    "a unique pair that may be null": "SELECT id FROM gen.person ORDER BY name, seen",
    "a function of a key": "SELECT word FROM gen.word ORDER BY lower(word)",
    "a key of one side": "SELECT p.id FROM gen.person p JOIN gen.item i ON i.owner = p.id ORDER BY p.id",
    "a key of the side that is filled": "SELECT i.id FROM gen.item i LEFT JOIN gen.person p ON p.id = i.owner ORDER BY p.id",
    "a part of a group": "SELECT count(*) FROM gen.tag GROUP BY item_id, label ORDER BY item_id",
    "a part of what is distinct": "SELECT DISTINCT name, id FROM gen.person ORDER BY name",
    "columns of a UNION ALL": "SELECT name FROM gen.person UNION ALL SELECT name FROM gen.person ORDER BY name",
    "a set in the columns": "SELECT id, generate_series(1, 2) FROM gen.person ORDER BY id",
    "grouping sets": "SELECT name, boss FROM gen.person GROUP BY GROUPING SETS ((name), (boss), ()) ORDER BY name",
    "DISTINCT ON takes any": "SELECT DISTINCT ON (name) name, id FROM gen.person ORDER BY name",
    "keys of a full join": "SELECT p.id FROM gen.person p FULL JOIN gen.item i ON i.id = p.id + 2 ORDER BY p.id",
}


def _cases(*tables: tuple[dict[str, str], Any]) -> Iterator[Any]:
    for table, expected in tables:
        for name, text in table.items():
            yield pytest.param(text, expected, id=name)


@pytest.mark.parametrize(("text", "expected"), list(_cases((ONE, True), (MANY, False), (UNPROVED, None))))
async def test_one_row_is_proved_where_there_is_one(prover: Prover, text: str, expected: bool | None) -> None:
    set_up, _, text = text.rpartition("; ")
    proof = cardinality.at_most_one((await prover.describe(text)).scope)
    assert proof.holds == bool(expected), proof.why
    rows = await prover.answers(text, set_up=set_up)
    assert expected is None or (len(rows) <= 1) == expected, rows


@pytest.mark.parametrize(("text", "expected"), list(_cases((TOTAL, True), (PARTIAL, False))))
async def test_an_order_is_total_where_no_rows_are_equal(prover: Prover, text: str, expected: bool) -> None:
    scope = (await prover.describe(f"{text} LIMIT 2")).scope
    proof = orders.total_order(scope)
    assert proof.holds == expected, proof.why
    order = text.rpartition(" ORDER BY ")[2] if " ORDER BY " in text else "1"
    # Ranks of equal rows are equal; where columns are made of groups, or are sets, rows are not to be ranked.
    if not any(word in text for word in ("GROUP", "DISTINCT", "UNION", "series", "WITH")) and scope.outputs:
        head, _, tail = text.partition(" FROM ")
        ranked = await prover.answers(f"SELECT rank() OVER (ORDER BY {order}) FROM {tail.partition(' ORDER BY ')[0]}")
        assert (max(Counter(ranked).values()) == 1) == expected, head


@pytest.mark.skipif(MAJOR < 18, reason="PostgreSQL 18 has it")
async def test_a_row_as_it_was_is_told_by_no_key(prover: Prover) -> None:
    text = "WITH w AS (INSERT INTO gen.tag VALUES (9, 'l'), (9, 'm') RETURNING old.item_id AS i, old.label AS l) SELECT i FROM w"
    assert not orders.total_order((await prover.describe(f"{text} ORDER BY i, l LIMIT 1")).scope).holds
    assert [row["i"] for row in await prover.answers(text)] == [None, None]


async def test_a_proof_says_why(prover: Prover) -> None:
    scope = (await prover.describe("SELECT name FROM gen.person WHERE id = 1")).scope
    assert cardinality.at_most_one(scope).why == "person_pkey allows one row of person for its id"
    scope = (await prover.describe("SELECT name FROM gen.person ORDER BY name LIMIT 1")).scope
    assert orders.total_order(scope).why == "rows of person may be equal in person.name"
