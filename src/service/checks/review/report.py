"""The report for reviewers of SQL: one HTML file that needs no other files and no network."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from service.checks import plans
from service.checks.proving import Subject
from service.checks.review import calling, overviews, rendering
from service.checks.review.facts import Facts
from service.checks.review.markup import Content, Markup, element, escaped
from service.checks.review.stating import state
from service.checks.runs import samples
from service.checks.runs.trials import TENANTS, undone

_PLACE = "<!-- the report -->"
_LEAD = (
    "Everything that Quarry says to PostgreSQL, and what was proved of it from PostgreSQL’s own trees and plans: how many rows "
    "it answers, which columns can be NULL, whose rows it can see, through which index it finds them."
)
_PLANNED = (
    "The plans are for any values of the parameters, with {rows} and sequential scans disabled: a table is read from end to end "
    "only where no index can be used."
)


@dataclass(frozen=True)
class Report:
    """The content of the report as plain data. Its plans were made with `rows` sample rows per tenant and table."""

    made_at: str
    server: str
    rows: int
    statements: tuple[Facts, ...]

    @property
    def variants(self) -> int:
        """The number of variants of all statements together."""
        return sum(each.variants for each in self.statements)

    @property
    def findings(self) -> int:
        """The number of findings of all statements together."""
        return sum(len(each.findings) for each in self.statements)

    @property
    def as_json(self) -> dict[str, Any]:
        """The report as a dictionary, for JSON output."""
        return asdict(self)


async def gather(
    connection: Any, subjects: Sequence[Subject], *, routes: Mapping[str, str], rows: int = 1000
) -> Report:
    """Collect the facts about all statements. Every variant of a statement is planned as the statement's role, but not executed.

    The connection must be a superuser's, bound to a tenant, to a database that nothing else uses. While the plans are made,
    two tenants have `rows` sample rows each in every table, so that the plans are like those of a database in use; with 0 the
    tables are empty. `routes` maps the full name of a handler (`service.api.campaigns.page`) to the request that it serves
    (`GET /v1/campaigns`).
    """
    callers = calling.callers([each.entry for each in subjects], routes)
    stated = []
    async with _filled(connection, rows):
        for subject in subjects:
            found = {
                key: await plans.generic(connection, subject, proved, without_scans=True)
                for key, proved in subject.proved.items()
            }
            widest = found[subject.widest.key] if found else None
            stated.append(state(subject, callers=callers[subject.entry.label], plan=widest, found=found))
    return Report(
        made_at=datetime.now(UTC).isoformat(sep=" ", timespec="minutes"),
        server=str(await connection.fetchval("SHOW server_version")).partition(" ")[0],
        rows=rows,
        statements=tuple(stated),
    )


@contextlib.asynccontextmanager
async def _filled(connection: Any, rows: int) -> AsyncIterator[None]:
    """Insert `rows` sample rows per tenant and table, and run ANALYZE. Both are rolled back at the end of the `with` block."""
    async with undone(connection):
        if rows:
            schema = await connection.fetchval("SELECT pg_catalog.current_schema()")
            await samples.fill(connection, schema, TENANTS, rows)
            await connection.execute("ANALYZE")
        yield


def page(report: Report) -> str:
    """The complete HTML page of the report."""
    template = Path(__file__).with_name("report.html").read_text(encoding="utf-8")
    before, _, after = template.partition(_PLACE)
    return "".join([before, *_parts(report), after])


def _parts(report: Report) -> Iterator[Markup]:
    yield _contents(report)
    yield element(
        "main", _head(report), list(overviews.all_of(report.statements)),
        element(
            "section", element("h2", "All statements"),
            [rendering.statement(each, _keys(each)) for each in report.statements], id="statements",
        ),
    )  # fmt: skip


def _keys(facts: Facts) -> str:
    found: dict[str, list[str]] = {}
    for kind, name in overviews.keys(facts):
        found.setdefault(kind, []).append(name)
    return json.dumps({kind: list(dict.fromkeys(names)) for kind, names in found.items()}, separators=(",", ":"))


def _contents(report: Report) -> Markup:
    """The HTML list of links to all statements, grouped by file. During a search it shows only the statements that are found."""
    groups = [
        element(
            "li", element("b", name),
            element("ul", [element("li", element("a", each.name, href=f"#{each.label}"), data_for=each.label) for each in own]),
        )
        for name, own in _by_file(report.statements)
    ]  # fmt: skip
    return element("div", element("ul", groups), id="list")


def _by_file(statements: Iterable[Facts]) -> Iterator[tuple[str, list[Facts]]]:
    for name, own in groupby(statements, key=lambda each: each.label.rpartition(".")[0]):
        yield name, list(own)


def _head(report: Report) -> Markup:
    planned = _PLANNED.format(rows=f"{report.rows} sample rows per tenant and table" if report.rows else "empty tables")
    made = f"Made {report.made_at.removesuffix('+00:00')} UTC with PostgreSQL {report.server}. "
    size = f"{len(report.statements)} statements in {report.variants} variants, "
    told: Content = [
        element("p", _LEAD, class_="lead"),
        element(
            "p", made, size, element("strong", _findings(report), class_="bad" if report.findings else "good"), ". ", planned,
            class_="quiet",
        ),
    ]  # fmt: skip
    broken = [block for each in report.statements for block in each.findings]
    return element(
        "header", element("h1", "The SQL of Quarry"), told,
        element("details", element("summary", escaped(_findings(report))), rendering.findings(broken)) if broken else None,
        id="top",
    )  # fmt: skip


def _findings(report: Report) -> str:
    return f"{report.findings or 'no'} finding{'' if report.findings == 1 else 's'}"
