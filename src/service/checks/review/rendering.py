"""The HTML of one statement in the report: its text, a summary, and then the proofs, in sections that the reader can unfold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from service.checks.review import drawing
from service.checks.review.facts import ALL_TENANTS, Access, Facts, Lock
from service.checks.review.markup import Content, Markup, element
from service.checks.review.planned import CONFLICT

KINDS = {
    "one": "one row, or not found",
    "maybe": "a row or none",
    "many": "rows",
    "value": "one value",
    "count": "the number of rows touched",
}
GROWTH = {
    "const": "what it touches does not grow",
    "page": "what it touches grows with the page that is asked for",
    "tenant": "what it touches grows with the tenant’s rows",
}
_FEW = 4
_REMARKS = {
    "one": "One row, because",
    "unbounded": "Without LIMIT, because",
    "unordered": "Without a total order, because",
    "crosses": "Crosses tenants, because",
    "null": "{} is kept nullable, because",
    "notnull": "{} is never null, because",
    "values": "{} is one of the listed texts, because",
    "unindexed": "{} is found without an index, because",
    "calls": "Calls {}, because",
    "unnamed": "{} is used without naming its tenant, because",
}


def link(label: str) -> Markup:
    """An HTML link to the statement with this label. The statement is on the same page."""
    return element("a", label, href=f"#{label}", class_="to")


def code(text: str, kind: str | None = None) -> Markup:
    """An HTML element `code` with a name or expression from SQL or Python; `kind` is the element's CSS class."""
    return element("code", text, class_=kind)


def table(heads: Sequence[str], rows: Iterable[Sequence[Content]]) -> Markup:
    """An HTML table. On a narrow screen the cells of a row are stacked, and each but the first shows its column's heading."""
    return element(
        "table",
        element("thead", element("tr", [element("th", head, scope="col") for head in heads])),
        element(
            "tbody",
            [
                element("tr", [element("td", cell, data_head=head) for head, cell in zip(heads, row, strict=True)])
                for row in rows
            ],
        ),
    )


def commands(facts: Facts, name: str | None = None) -> str:
    """What the statement does with the table `name`, in words such as `inserts and reads`; with all its tables if it is None."""
    words = {"SELECT": "reads", "INSERT": "inserts", "UPDATE": "updates", "DELETE": "deletes"}
    found = dict.fromkeys(command for each in facts.tables if name in (None, each.name) for command in each.commands)
    return " and ".join(sorted((words.get(each, each.lower()) for each in found), key=lambda each: each == "reads"))


def ways(accesses: Sequence[Access], variants: int) -> Markup:
    """An HTML list of the ways in which rows of a table are found: by which index, or by reading the whole table.

    `variants` is the number of the statement's variants. If only some of them find rows in this way, the list says how many.
    """
    parts: list[Content] = []
    for each in accesses:
        name: Content = code(each.index, "x") if each.index else element("em", "no index: it is read from end to end")
        parts.append(element("li", name, few(each, variants), f", which {each.how}" if each.how == CONFLICT else ""))
    return element("ul", parts, class_="plain")


def few(access: Access, variants: int) -> str:
    """In how many variants an access occurs, as ` in 8 of 32 variants, such as that with :brand_id`; '' if it occurs in all."""
    if access.variants == variants:
        return ""
    given = " and ".join(f":{name}" for name in access.given) or "none of its optional lines"
    return f" in {access.variants} of {variants} variants, such as that with {given}"


def statement(facts: Facts, keys: str) -> Markup:
    """The HTML of one statement; `keys` are the words under which the report's search finds the statement, as JSON."""
    return element(
        "article",
        element(
            "header",
            element("h3", element("a", facts.label, href=f"#{facts.label}")),
            element("p", _tags(facts), class_="tags"),
        ),
        element("p", facts.doc, class_="doc"),
        findings(facts.findings),
        [element("p", _remark(each.key, each.subject), " ", each.reason, class_="remark") for each in facts.remarks],
        drawing.text(facts.source, facts.source_line, {part for each in facts.tables for part in each.name.split(".")}),
        _short(facts),
        _parameters(facts), _answers(facts), _locks(facts), _plan(facts), _sent(facts), _callers(facts),
        id=facts.label, data_keys=keys,
    )  # fmt: skip


def findings(blocks: Sequence[str]) -> Markup | None:
    """An HTML element with findings; None if there are none. A block is the text of one finding, like a compiler's message."""
    return element("pre", "\n\n".join(blocks), class_="finding", tabindex="0") if blocks else None


def _tags(facts: Facts) -> list[Content]:
    variants = f"{facts.variants} variants" if facts.variants > 1 else "one text"
    found: list[Content] = [
        element("span", f":{facts.kind}", title=KINDS[facts.kind]),
        element("span", facts.scope, class_=f"scope-{facts.scope}"),
        element("span", variants),
        element("span", f"grows: {facts.grows}", title=GROWTH.get(facts.grows)),
        element("span", f"{facts.file}:{facts.line}", class_="file"),
    ]
    return found


def _remark(key: str, subject: str) -> Markup:
    return element("b", _REMARKS.get(key, key).replace("{}", subject))


def _short(facts: Facts) -> Markup:
    rows: list[tuple[str, Content]] = [("Another tenant’s row?", _isolation(facts))]
    rows.append(
        ("Rows", [_held(facts.rows.holds, facts.rows.about), f": {facts.rows.why}" if facts.rows.why else None])
    )
    rows.extend(
        (each.about, [_held(each.holds, "in a total order" if each.holds else "in no total order"), ": ", each.why])
        for each in facts.orders
    )
    by_table = {each.table: [way for way in facts.accesses if way.table == each.table] for each in facts.accesses}
    for each_table in facts.tables:
        found = by_table.get(each_table.name, [])
        verb = commands(facts, each_table.name)
        through = [" through", ways(found, facts.variants)] if found else None
        rows.append(
            (
                f"{verb.capitalize()}",
                [element("a", code(each_table.name, "t"), href=f"#table:{each_table.name}"), through],
            )
        )
    for call in facts.calls:
        because = call.reason or element("em", "nothing says why", class_="bad")
        rows.append(("Calls", [code(f"{call.name}()"), f" with {call.rights}, because ", because]))
    return element("dl", [(element("dt", name), element("dd", content)) for name, content in rows], class_="short")


def _held(holds: bool | None, words: str) -> Markup:
    return element("strong", words, class_="good" if holds else "bad" if holds is False else "")


def _isolation(facts: Facts) -> list[Content]:
    first, _, rest = facts.isolation.partition(":")
    if facts.is_isolated is None:
        return [facts.isolation]
    return [_held(facts.is_isolated, first), f":{rest}"]


def _folded(title: str, count: str, content: Content) -> Markup:
    return element("details", element("summary", title, " ", element("span", count, class_="count")), content)


def _parameters(facts: Facts) -> Markup | None:
    if not facts.parameters:
        return None
    rows = [
        (code(f":{each.name}", "p"), code(each.type), code(each.annotation), each.given, "; ".join(each.uses))
        for each in facts.parameters
    ]
    heads = ("Parameter", "PostgreSQL", "Python", "None?", "What becomes of it")
    return _folded("Parameters", str(len(rows)), table(heads, rows))


def _answers(facts: Facts) -> Markup | None:
    if not facts.answers:
        return None
    rows = [
        (code(each.name), code(each.type),
         [element("strong", "may be NULL" if each.is_nullable else "never NULL", class_="null" if each.is_nullable else "sure"),
          ": ", each.why],
         code(each.becomes))
        for each in facts.answers
    ]  # fmt: skip
    nullable = [each.name for each in facts.answers if each.is_nullable]
    count = (
        f"{len(rows)}, of which may be NULL: {', '.join(nullable)}" if nullable else f"{len(rows)}, none may be NULL"
    )
    return _folded("Columns", count, table(("Column", "PostgreSQL", "NULL?", "Becomes"), rows))


def _locks(facts: Facts) -> Markup | None:
    if not facts.locks:
        return None
    return _folded("Tenant locks", str(len(facts.locks)), locks(facts))


def locks(facts: Facts) -> Markup:
    """An HTML table of the statement's locks: for each use of a table whose rows belong to tenants, it shows both conditions.

    The two conditions that restrict the use to the bound tenant are that of row-level security and that of the statement.
    """
    rows = [
        (code(each.named, "t"),
         "written" if each.is_written else "read",
         code(each.policy) if each.policy else _missing(facts, each),
         code(each.predicate) if each.predicate else _missing(facts, each))
        for each in facts.locks
    ]  # fmt: skip
    return table(("Use of", "It is", "Row-level security", "The statement says"), rows)


def _missing(facts: Facts, lock: Lock) -> Content:
    if facts.scope == "platform":
        return ALL_TENANTS
    return f"nothing, because {lock.reason}" if lock.reason else element("em", "nothing", class_="bad")


def _plan(facts: Facts) -> Markup | None:
    if facts.plan is None:
        return None
    which = "with all optional lines, for any values" if facts.variants > 1 else "for any values"
    return _folded("Plan", which, drawing.plan(facts.plan))


def _sent(facts: Facts) -> Markup | None:
    if not facts.sent:
        return None
    which = "in one message with the lookup of the session" + (
        ", with all optional lines" if facts.variants > 1 else ""
    )
    return _folded("Sent by a GET", which, element("pre", facts.sent, class_="box", tabindex="0"))


def _callers(facts: Facts) -> Markup:
    if not facts.callers:
        return element("p", "No place in the service names it.", class_="quiet")
    routes = list(dict.fromkeys(route for each in facts.callers for route in each.routes))
    rows = [(code(each.place), _requests(each.routes) or "–") for each in facts.callers]
    count = _requests(routes) or f"{len(rows)} {'place' if len(rows) == 1 else 'places'}"
    return _folded("Called by", count, table(("Where", "For"), rows))


def _requests(routes: Sequence[str]) -> str:
    if len(routes) > _FEW:
        return f"{len(routes)} kinds of request, {routes[0]} among them"
    return ", ".join(routes)
