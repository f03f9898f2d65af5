"""The report answers a reviewer's questions from what was proved, and shows whatever it is given as text."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from arranging.reviewing import proved
from service.api.routes import by_handler
from service.checks.findings import Finding, Span
from service.checks.proving import Subject
from service.checks.review import showing
from service.checks.review.facts import Facts, Remark
from service.checks.review.planned import steps
from service.checks.review.reaching import Source
from service.checks.review.report import Report, gather, page
from service.checks.review.spelling import spelled
from service.checks.review.stating import state
from service.checks.runs import trials
from service.embedded.server import Server
from service.repos.brands import Brand

HOSTILE = "</script><script>alert('1')</script>\"><img src=x onerror=alert(2)>"


@dataclass
class Reviewed:
    """What is proved of all statements, the report on it, and its page."""

    connection: Any
    subjects: dict[str, Subject]
    report: Report
    html: str

    def of(self, label: str) -> Facts:
        [found] = [each for each in self.report.statements if each.label == label]
        return found


@pytest.fixture(scope="module")
async def reviewed(server: Server, anyio_backend: str) -> AsyncIterator[Reviewed]:
    async with proved(server) as (connection, subjects):
        report = await gather(connection, subjects, routes=by_handler())
        yield Reviewed(connection, {each.entry.label: each for each in subjects}, report, page(report))


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of those that have an id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def part(html: str, id: str, tag: str) -> str:
    """The text of an element that holds no other of its kind."""
    [inner] = re.findall(rf'<{tag}[^>]* id="{re.escape(id)}".*?</{tag}>', html, re.DOTALL)
    return unescape(re.sub(r"<[^>]+>", " ", inner))


def entry(html: str, id: str) -> str:
    """The text of an entry of an overview."""
    start = html.index(f'id="{id}"')
    return unescape(re.sub(r"<[^>]+>", " ", html[start : html.index("</details>", start)]))


def linked(html: str, id: str) -> list[str]:
    """The statements that an entry of an overview leads to."""
    start = html.index(f'id="{id}"')
    return re.findall(r'href="#([^"]+)"', html[start : html.index("</details>", start)])


def test_every_statement_is_there_as_it_stands_in_its_file(reviewed: Reviewed) -> None:
    for facts in reviewed.report.statements:
        [text] = re.findall(
            rf'<article id="{re.escape(facts.label)}".*?<pre class="sql"[^>]*><code>(.*?)</code></pre>',
            reviewed.html,
            re.DOTALL,
        )
        lines = re.sub(r"<i>(\d+)</i>", "", text)
        assert unescape(re.sub(r"<[^>]+>", "", lines)).rstrip("\n") == facts.source
        assert re.search(r"<i>(\d+)</i>", text)[1] == str(facts.source_line)  # type: ignore[index]


def test_optional_lines_are_marked(reviewed: Reviewed) -> None:
    marked = re.findall(r'<span class="l when">.*?</span>\n</span>', reviewed.html)
    in_files = sum(
        len({line for line in facts.source.split("\n") if "-- when :" in line}) for facts in reviewed.report.statements
    )
    assert len(marked) == in_files > 20


def test_it_needs_nothing_from_elsewhere(reviewed: Reviewed) -> None:
    assert len(reviewed.html.encode()) < 3_000_000
    for tag, attributes in Elements(reviewed.html).found:
        assert tag not in ("link", "iframe", "object", "embed", "img", "base")
        assert not {"src", "srcset", "action", "data", "poster", "onclick", "onerror"} & attributes.keys()
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?://", reviewed.html)


def test_links_lead_somewhere_and_ids_are_unique(reviewed: Reviewed) -> None:
    elements = Elements(reviewed.html).found
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {attributes["href"] for _, attributes in elements if "href" in attributes} <= {f"#{id}" for id in ids}


def test_which_statements_read_influencers_and_through_which_index(reviewed: Reviewed) -> None:
    texts = {label: subject.entry.statement.source for label, subject in reviewed.subjects.items()}
    using = [label for label, text in texts.items() if re.search(r"(FROM|JOIN|INTO|UPDATE|USING) influencers\b", text)]
    assert linked(reviewed.html, "table:influencers") == using
    assert {"campaign_influencers.page", "influencers.find"} <= set(using)
    said = " ".join(entry(reviewed.html, "table:influencers").split())
    assert "influencers.find reads influencers_pkey" in said
    assert "influencers.update updates and reads influencers_pkey" in said
    assert re.search(r"influencers_tenant_id_email_key in \d+ of 64 variants, such as that with :email", said)


def test_a_campaign_listed_by_brand(reviewed: Reviewed) -> None:
    assert linked(reviewed.html, "request:GET /v1/campaigns")[0] == "campaigns.page"
    assert set(linked(reviewed.html, "request:GET /v1/campaigns")) == {
        "campaigns.page", "sessions.authenticate", "api_keys.authenticate", "log.place",
    }  # fmt: skip
    by_brand = {each.index: each.given for each in reviewed.of("campaigns.page").accesses}
    assert by_brand["campaigns_brand_id_created_at_idx"] == ("brand_id",)
    [brand] = [each for each in reviewed.of("campaigns.page").parameters if each.name == "brand_id"]
    assert (brand.type, brand.annotation, brand.uses) == ("uuid", "UUID | None", ("= campaigns.brand_id",))
    assert brand.given == "None leaves its line out (when :brand_id)"


def test_what_is_handed_to_a_function_is_followed(reviewed: Reviewed) -> None:
    assert {"brands.update", "brands.replace_niches"} <= set(linked(reviewed.html, "request:PATCH /v1/brands/{id}"))
    assert "sessions.revoke_of_user" in linked(reviewed.html, "request:PATCH /v1/users/{id}")


def test_what_every_request_may_run_is_told_too(reviewed: Reviewed) -> None:
    assert "log.head" in linked(reviewed.html, "request:every request")


def test_a_row_that_reads_a_field_of_its_own_calls_no_statement_of_that_name(reviewed: Reviewed) -> None:
    places = [each.place for each in reviewed.of("log.head").callers]
    assert any(each.startswith("service.http.call.Call.consistency:") for each in places)
    assert not any("Place.loss_after" in each for each in places)


def test_no_statement_returns_another_tenants_row_and_the_page_says_why(reviewed: Reviewed) -> None:
    assert [each.label for each in reviewed.report.statements if each.is_isolated is False] == []
    for facts in reviewed.report.statements:
        article = " ".join(part(reviewed.html, facts.label, "article").split())
        assert " ".join(facts.isolation.split()) in article.replace("No :", "No:")
        if facts.scope == "tenant":
            assert facts.isolation.startswith("No: ")
            assert all(lock.policy or lock.reason for lock in facts.locks)
    assert reviewed.of("campaigns.page").isolation == (
        "No: campaigns is locked twice, by row-level security and by the statement's own :tenant_id."
    )
    assert "works for all tenants" in reviewed.of("tenants.page").isolation
    assert (
        "app.find_tenant(), which runs with its owner's rights, because"
        in reviewed.of("tenants.find_by_domain").isolation
    )


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (
            {"policy": "", "predicate": ""},
            "It can: campaigns is used without its policy and without naming the tenant.",
        ),
        ({"policy": ""}, "No: campaigns by its own :tenant_id alone."),
        ({"predicate": ""}, "No: campaigns by row-level security alone."),
    ],
)
def test_a_missing_lock_in_one_variant_is_said(reviewed: Reviewed, without: dict[str, str], said: str) -> None:
    subject = reviewed.subjects["campaigns.page"]
    open_ = replace(subject.proved[3], locks=[replace(each, **without) for each in subject.proved[3].locks])
    facts = state(Subject(subject.entry, subject.catalog, {**subject.proved, 3: open_}))
    assert facts.isolation == said
    assert facts.is_isolated is not said.startswith("It can")
    html = page(replace(reviewed.report, statements=(facts,)))
    assert "nothing</em>" in html
    assert ("Yes:" in html) is said.startswith("It can")


def test_which_columns_can_be_null_and_why(reviewed: Reviewed) -> None:
    said = " ".join(entry(reviewed.html, "null:Campaign").split())
    assert "brand_id: UUID | None brand_id may be NULL in quarry.campaigns" in said
    assert "owner_id" not in said
    for facts in reviewed.report.statements:
        for answer in facts.answers:
            assert answer.why, (facts.label, answer)
            if answer.is_nullable:
                assert answer.becomes.endswith("None") or "no field" in answer.becomes or facts.remarks, (
                    facts.label,
                    answer,
                )


def test_rows_and_orders_are_told(reviewed: Reviewed) -> None:
    assert reviewed.of("campaigns.page").rows.about == "answers :limit rows at most"
    assert reviewed.of("campaigns.page").orders[0].about == "LIMIT :limit"
    assert reviewed.of("campaigns.find").rows.about == "answers one row at most"
    assert "campaigns_pkey" in reviewed.of("campaigns.find").rows.why
    assert reviewed.of("campaigns.erase").rows.about == "touches one row at most"
    assert reviewed.of("campaigns.find_many").rows.about == "answers as many rows as there are"


def test_the_plan_is_the_widest_variants_with_names(reviewed: Reviewed) -> None:
    plan = reviewed.of("campaigns.page").plan
    assert plan is not None
    assert plan.title == "Limit"
    html = " ".join(part(reviewed.html, "campaigns.page", "article").split())
    assert "One-Time Filter" in html
    if reviewed.subjects["campaigns.page"].catalog.version >= 17:
        assert "Index Cond campaigns.tenant_id = :tenant_id" in html


def test_conditions_come_apart_where_all_must_hold() -> None:
    plan = {
        "Node Type": "Index Scan", "Relation Name": "tenants", "Schema": "app", "Alias": "t", "Index Name": "tenants_pkey",
        "Index Cond": "((t.id = $1) AND (t.name = 'x) AND (y'::text))", "Filter": "((a OR (b AND c)) AND f(d, $2))",
        "Parent Relationship": "SubPlan", "Subplan Name": "SubPlan 2",
    }  # fmt: skip
    step = steps(plan, ["id", "q"], 18)
    assert (step.title, step.on, step.index, step.role) == (
        "Index Scan", "app.tenants AS t", "tenants_pkey", "SubPlan 2: for each row",
    )  # fmt: skip
    assert step.details == (
        ("Index Cond", ("t.id = :id", "t.name = 'x) AND (y'::text")),
        ("Filter", ("a OR (b AND c)", "f(d, :q)")),
    )
    assert steps(plan, ["id", "q"], 16).details[0][1][0] == "t.id = $1"


def test_whatever_comes_in_is_shown_as_text(reviewed: Reviewed) -> None:
    facts = reviewed.of("campaigns.page")
    made = replace(
        facts, label=f"campaigns.{HOSTILE}", name=HOSTILE, doc=HOSTILE, repository=HOSTILE, scope="tenant", grows=HOSTILE,
        source=f"SELECT '{HOSTILE.replace(chr(39), '')}', \"{HOSTILE.replace(chr(34), '')}\" -- {HOSTILE}\n  /* {HOSTILE} */",
        remarks=(Remark("unbounded", HOSTILE, HOSTILE),), isolation=f"No: {HOSTILE}", findings=(HOSTILE,),
        parameters=tuple(replace(each, name=HOSTILE, annotation=HOSTILE, uses=(HOSTILE,)) for each in facts.parameters),
        answers=tuple(replace(each, name=HOSTILE, why=HOSTILE, is_nullable=True, becomes=HOSTILE) for each in facts.answers),
        tables=tuple(replace(each, name=HOSTILE) for each in facts.tables),
        accesses=tuple(replace(each, table=HOSTILE, index=HOSTILE, given=(HOSTILE,)) for each in facts.accesses),
        locks=tuple(replace(each, table=HOSTILE, policy=HOSTILE, predicate="", reason=HOSTILE) for each in facts.locks),
        callers=tuple(replace(each, place=HOSTILE, routes=(HOSTILE,)) for each in facts.callers),
        plan=replace(facts.plan, on=HOSTILE, index=HOSTILE, role=HOSTILE, details=((HOSTILE, ("x",)),)),  # type: ignore[type-var]
    )  # fmt: skip
    html = page(replace(reviewed.report, server=HOSTILE, statements=(made,)))
    assert html.count("<script>") == 1
    tags = {tag for tag, _ in Elements(html).found}
    assert "img" not in tags
    assert html.count(HOSTILE) == 0


async def test_a_refused_statement_has_its_finding_and_no_proofs(reviewed: Reviewed) -> None:
    entry = reviewed.subjects["campaigns.find"].entry
    subject = Subject(entry, reviewed.subjects["campaigns.find"].catalog)
    subject.say("refused", 'PostgreSQL refuses it: column "x" does not exist', remedy="compare it with sql/schema.sql")
    report = await gather(reviewed.connection, [subject], routes={}, rows=0)
    html = page(report)
    assert report.findings == 1
    assert "1 finding" in html
    line = entry.statement.place.line
    assert f"campaigns.sql:{line}:10: error[refused]: campaigns.find: PostgreSQL refuses it" in unescape(html)
    assert report.statements[0].is_isolated is False
    assert report.statements[0].isolation == "Unknown: nothing is proved of 1 of its 1 variants."


def test_findings_are_printed_as_a_compiler_prints_them(reviewed: Reviewed) -> None:
    subject = reviewed.subjects["campaigns.page"]
    place = subject.entry.statement.place
    told = Subject(subject.entry, subject.catalog, subject.proved)
    told.findings.append(
        Finding("no-index", "campaigns.page", Span(place.path, place.line, 9, 4), "no index", "proof", "add one")
    )
    [block] = state(told).findings
    html = unescape(page(replace(reviewed.report, statements=(state(told),))))
    assert block in html
    assert "| -- name: page :many" in block
    assert block.endswith("  proved: proof\n  → add one")


def test_all_of_it_is_plain_data(reviewed: Reviewed) -> None:
    told = json.loads(json.dumps(reviewed.report.as_json))
    assert len(told["statements"]) == len(reviewed.subjects)
    assert told["statements"][0]["locks"][0]["policy"] == "tenant_id = app.current_tenant()"


async def test_the_rows_that_it_plans_with_are_gone_afterwards(reviewed: Reviewed) -> None:
    assert await reviewed.connection.fetchval("SELECT count(*) FROM campaigns") == 0
    assert await reviewed.connection.fetchval("SELECT current_user = session_user")
    assert reviewed.report.rows > 0
    assert trials.TENANTS[0].hex not in reviewed.html


def test_what_becomes_of_a_parameter(reviewed: Reviewed) -> None:
    def uses(label: str, name: str) -> tuple[str, ...]:
        [found] = [each.uses for each in reviewed.of(label).parameters if each.name == name]
        return found

    assert uses("campaigns.page", "q") == ("starts_with(campaigns.search_name, …)",)
    assert uses("campaigns.page", "after_id") == ("< campaigns.id, by row",)
    assert uses("campaigns.page", "limit") == ("LIMIT",)
    assert uses("campaigns.update", "name") == ("goes into campaigns.name",)
    assert uses("campaigns.update", "given") == ("tells which constants are meant",)
    assert uses("campaigns.find_many", "ids") == ("= ANY campaigns.id",)
    assert "goes into contents.title" in uses("contents.create", "title")


def test_types_are_written_as_in_the_source(reviewed: Reviewed) -> None:
    def annotation(label: str, name: str) -> str:
        [found] = [each.annotation for each in reviewed.of(label).parameters if each.name == name]
        return found

    assert annotation("campaigns.count", "status") == "'draft' | 'active' | 'paused' | 'completed' | 'archived' | None"
    assert annotation("campaigns.find_many", "ids") == "list[UUID]"
    assert annotation("users.create", "email") == "Personal, sealed"
    assert annotation("users.create", "email_index") == "Personal, as the blind index of email"
    assert spelled(None) == "None"
    assert spelled(list[Brand]) == "list[Brand]"


def test_a_list_for_the_terminal(reviewed: Reviewed) -> None:
    head, *lines = showing.listed(list(reviewed.subjects.values()))
    assert [line.split()[0] for line in lines] == list(reviewed.subjects)
    at = head.index("TABLES")
    [row] = [line for line in lines if line.startswith("campaigns.page ")]
    assert row[at:] == "campaigns"
    assert row.split() == ["campaigns.page", ":many", "tenant", "32", "page", "campaigns"]


async def test_one_statement_for_the_terminal(reviewed: Reviewed) -> None:
    text = showing.shown(reviewed.subjects["campaigns.page"])
    for said in (
        "sql/queries/campaigns.sql:", "AND brand_id = :brand_id", "another tenant's row: No: campaigns is locked twice",
        "order of LIMIT :limit: total: ", "may be NULL: brand_id may be NULL in quarry.campaigns", "service.api.campaigns.page:",
    ):  # fmt: skip
        assert said in text
    assert "PLAN" not in text
    assert "nothing: it works for all tenants" in showing.shown(reviewed.subjects["tenants.page"])
    assert json.dumps(showing.as_json(reviewed.subjects["tenants.page"]))


CALLER = """
from service.planted.taking import Base, give, take

class Call(Base):
    async def run(self, work): return await self._admit(work)
    async def _admit(self, work): return await work.sessions.authenticate()

def made() -> Call: ...

async def by_parameter(call: Call | None): return await call.run(lambda work: work)
async def by_base(call: Call): return call.inherited()
async def by_answer():
    call = made()
    return await call.run(1)
async def by_name(): return [give]
async def handing(work): return await take(1, work.brands)
async def nothing(work): return work.run()
"""
TAKING = """
class Base:
    def inherited(self): return give()

def give(): ...
async def take(number, profiles): return await profiles.create(number)
"""


@pytest.mark.parametrize(
    ("start", "reached"),
    [
        ("by_parameter", {"calling.Call.run", "calling.Call._admit"}),
        ("by_base", {"taking.Base.inherited", "taking.give"}),
        ("by_answer", {"calling.made", "calling.Call.run", "calling.Call._admit"}),
        ("by_name", {"taking.give"}),
        ("handing", {"taking.take"}),
        ("nothing", set()),
    ],
)
def test_the_source_is_followed(start: str, reached: set[str]) -> None:
    source = Source()
    source.add("service.planted.taking", ast.parse(TAKING))
    source.add("service.planted.calling", ast.parse(CALLER))
    wanted = {f"service.planted.{each}" for each in {*reached, f"calling.{start}"}}
    assert source.reached(f"service.planted.calling.{start}") == wanted
    line = CALLER.split("\n").index(next(each for each in CALLER.split("\n") if "def handing" in each)) + 1
    assert list(source.handed({"brands": {"create", "find"}})) == [
        ("brands", "create", "service.planted.calling.handing", line)
    ]
