"""The server's own tree in its text form, and that everything in the catalog of statements is understood."""

from __future__ import annotations

from typing import Any

import pytest

from checks.planting import Garden, Plant
from service.checks import entries as catalogue
from service.checks import proving
from service.checks.proofs import catalog, tree
from service.checks.proofs.tree import UnknownNode, parse
from service.work import Work


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("<>", None, id="null"),
        pytest.param("true", True, id="true"),
        pytest.param("-17", -17, id="number"),
        pytest.param('""', "", id="empty"),
        pytest.param("word", "word", id="word"),
        pytest.param(r"two\ words\ \(and\ more\)", "two words (and more)", id="escaped"),
        pytest.param(r"\123abc", "123abc", id="a-word-that-begins-as-a-number"),
        pytest.param(r'"it \"is\" a \\ string {not a node}"', r'it "is" a \ string {not a node}', id="quoted"),
        pytest.param("(i 1 -2 3)", [1, -2, 3], id="integers"),
        pytest.param("(o 23 2950)", [23, 2950], id="oids"),
        pytest.param("(b 8 10)", [8, 10], id="a-set"),
        pytest.param("(b)", [], id="an-empty-set"),
        pytest.param("(<> one (i 2))", [None, "one", [2]], id="a-list"),
        pytest.param("[ 1 0 -1 -128 ]", b"\x01\x00\xff\x80", id="bytes"),
        pytest.param("[ ]", b"", id="no-bytes"),
    ],
)
def test_values_are_read_as_the_server_wrote_them(text: str, value: object) -> None:
    found = parse(text)
    assert (found, type(found)) == (value, type(value))


def test_a_node_has_its_fields_and_answers_none_for_others() -> None:
    node = parse("{VAR :varno 1 :varattno 2 :varnullingrels (b 3) :location -1}")
    assert (node.kind, node["varno"], node["varnullingrels"], node["location"]) == ("VAR", 1, [3], -1)
    assert (node["missing"], node.list("missing"), node.list("varno")) == (None, [], [])


def test_a_constant_keeps_its_length_beside_its_bytes() -> None:
    node = parse("{CONST :consttype 25 :constisnull false :location 7 :constvalue 5 [ 20 0 0 0 97 ]}")
    assert (node["constvalue"], node["location"]) == ([5, b"\x14\x00\x00\x00a"], 7)
    assert parse("{CONST :constvalue <>}")["constvalue"] is None


def test_nodes_that_15_calls_otherwise_have_their_later_names() -> None:
    assert parse("({RTE :rtekind 0} {CASE :args <>})")[1].kind == "CASEEXPR"
    assert parse("{RTE :rtekind 0}").kind == "RANGETBLENTRY"


@pytest.mark.parametrize(
    "text", ["{TABLEFUNC :op 1}", "({VAR :varno 1} {OPEXPR :args ({XMLEXPR :op 2})})"], ids=["alone", "inside"]
)
def test_a_node_that_nobody_knows_is_not_guessed_at(text: str) -> None:
    with pytest.raises(UnknownNode, match=r"the checks don't know PostgreSQL's node (TABLEFUNC|XMLEXPR)"):
        parse(text)


def test_walking_goes_into_inner_queries_and_within_does_not() -> None:
    text = "{SUBLINK :testexpr {VAR :varno 1 :varlevelsup 0} :subselect {QUERY :targetList ({VAR :varno 2 :varlevelsup 1})}}"
    node = parse(text)
    assert [each.kind for each in tree.walk(node)] == ["SUBLINK", "VAR", "QUERY", "VAR"]
    assert [each.kind for each in tree.within(node)] == ["SUBLINK", "VAR"]
    assert [each["varno"] for each in tree.references(node)] == [1, 2]


def test_expressions_are_the_same_wherever_they_stand() -> None:
    one, other = (parse(f"{{OPEXPR :opno 96 :args ({{VAR :varno {n} :location {n}}}) :location {n}}}") for n in (1, 2))
    assert not tree.same(one, other)
    assert tree.same(one, other, anywhere=True)
    assert not tree.same(one, parse("{OPEXPR :opno 97}"), anywhere=True)


def test_what_all_must_hold_is_taken_apart() -> None:
    both = "{BOOLEXPR :boolop and :args ({NULLTEST :nulltesttype 0} {BOOLEXPR :boolop or :args <>})}"
    assert [each.kind for each in tree.conjuncts(parse(f"({both} {{CONST :location 1}})"))] == [
        "NULLTEST",
        "BOOLEXPR",
        "CONST",
    ]
    assert tree.conjuncts(None) == []


async def test_every_statement_of_the_service_is_understood_on_this_version(garden: Garden) -> None:
    known = await catalog.load(garden.connection)
    subjects = await proving.prove(garden.connection, known, catalogue.entries(Work))
    assert [finding for subject in subjects for finding in subject.findings] == []
    assert all(list(subject.proved) == list(subject.entry.statement.variants) for subject in subjects)
    assert len(subjects) > 100


async def test_a_statement_that_is_not_understood_is_told(only: Any) -> None:
    planted = Plant(
        "SELECT name AS odd FROM campaigns TABLESAMPLE SYSTEM (10) WHERE tenant_id = :tenant_id AND id = :id",
        "maybe",
        "odd: str",
        "id: UUID",
    )
    found = await only("not-understood", planted)
    assert found.finding.message == "the checks don't know PostgreSQL's node TABLESAMPLECLAUSE"
    assert (found.marked, found.finding.remedy.startswith("write it otherwise")) == ("planted", True)
