"""The overviews, the part of the report before the statements themselves.

Each overview groups the statements in another way: by table, by isolation of tenants, by nullable column, by request, by
repository.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from service.checks.review.facts import Facts
from service.checks.review.markup import Content, Markup, element
from service.checks.review.rendering import code, commands, link, table, ways


def all_of(statements: Sequence[Facts]) -> Iterator[Markup]:
    """The HTML of all overviews. An overview is a section with entries; the report's search finds an entry by its name."""
    tables = {used.name for each in statements for used in each.tables}
    yield _section(
        "tables", "Which statements use a table, and through which index?", f"{len(tables)} tables", _tables(statements)
    )
    open_ = [each for each in statements if each.is_isolated is False]
    short = f"Yes: {_counted(len(open_))}" if open_ else "No"
    yield _section(
        "tenants", "Can a statement return another tenant’s row, and why not?", short, _separation(statements)
    )
    nullable = sum(answer.is_nullable for each in statements for answer in each.answers)
    answers = sum(len(each.answers) for each in statements)
    yield _section("nulls", "Which columns can be NULL, and why?", f"{nullable} of {answers}", _nulls(statements))
    if routes := list(_routes(statements)):
        told = element(
            "p", "Found by following the source from the function that serves the request: each branch counts, so not "
            "everything here runs every time.", class_="quiet",
        )  # fmt: skip
        yield _section(
            "requests", "What may run when a request comes?", f"{len(routes)} kinds of request", [told, routes]
        )
    names = {each.repository for each in statements}
    yield _section(
        "repositories", "What belongs to a repository?", f"{len(names)} repositories", _repositories(statements)
    )


def keys(facts: Facts) -> Iterator[tuple[str, str]]:
    """The words under which the report's search finds a statement, as pairs of kind and word: `("table", "campaigns")`."""
    yield "statement", facts.label
    yield "repository", facts.repository
    yield "scope", facts.scope
    for each in facts.tables:
        yield "table", each.name
        for command in each.commands:
            yield ("reads" if command == "SELECT" else "writes"), each.name
    for way in facts.accesses:
        if way.index:
            yield "index", way.index
    for call in facts.calls:
        yield "function", call.name
    for answer in facts.answers:
        yield "column", answer.name
        if answer.is_nullable:
            yield "null", answer.name
    for parameter in facts.parameters:
        yield "parameter", parameter.name
    for caller in facts.callers:
        for route in caller.routes:
            yield "request", route


def _section(id: str, title: str, short: str, content: Content) -> Markup:
    """A section that the reader can unfold. Its heading is a question (`title`) with a short answer (`short`).

    `content` is the full answer.
    """
    head = element("summary", element("h2", title), " ", element("span", short, class_="count"))
    return element("details", head, content, id=id, class_="overview")


def _entry(kind: str, name: str, count: str, *content: Content) -> Markup:
    """An entry of an overview, which the reader can unfold. The report's search finds the entry by `name`.

    `count` is a short text beside the name, such as `3 statements`.
    """
    return element(
        "details", element("summary", code(name), " ", element("span", count, class_="count")), content,
        id=f"{kind}:{name}", data_entry=name,
    )  # fmt: skip


def _counted(number: int) -> str:
    return f"{number} statement{'' if number == 1 else 's'}"


def _tables(statements: Sequence[Facts]) -> Iterator[Markup]:
    found: dict[str, list[Facts]] = {}
    for each in statements:
        for used in each.tables:
            found.setdefault(used.name, []).append(each)
    for name in sorted(found):
        rows = [(link(each.label), commands(each, name), _through(each, name)) for each in found[name]]
        reading = sum(
            any(used.name == name and "SELECT" in used.commands for used in each.tables) for each in found[name]
        )
        count = f"{_counted(len(rows))}, {reading} read it"
        yield _entry("table", name, count, table(("Statement", "Does", "Through"), rows))


def _through(facts: Facts, name: str) -> Content:
    found = [each for each in facts.accesses if each.table == name]
    return ways(found, facts.variants) if found else "–"


def _separation(statements: Sequence[Facts]) -> Iterator[Markup]:
    by_scope = {
        scope: [each for each in statements if each.scope == scope]
        for scope in ("tenant", "owner", "shared", "platform")
    }
    bound = by_scope["tenant"] + by_scope["owner"]
    uses = [lock for each in bound for lock in each.locks]
    double = sum(bool(lock.policy and lock.predicate) for lock in uses)
    open_ = [each for each in statements if each.is_isolated is False]
    yield element(
        "p",
        [element("strong", "Yes:", class_="bad"), " ", _linked(open_), "."] if open_ else element("strong", "No.", class_="good"),
        f" {_counted(len(bound))} belong to a tenant. They use tables of tenants in {len(uses)} places; in "
        f"{'each' if double == len(uses) else double} of them the row is locked twice: PostgreSQL’s row-level security compares "
        "its tenant with the bound one, and so does the statement itself. Either would do alone.",
    )  # fmt: skip
    single = [each for each in bound if any(not lock.policy or not lock.predicate for lock in each.locks)]
    if single:
        yield _entry(
            "tenants", "One lock", _counted(len(single)),
            table(("Statement", "Why that is well"), [(link(each.label), each.isolation) for each in single]),
        )  # fmt: skip
    calling = [each for each in bound if any("owner" in call.rights for call in each.calls)]
    if calling:
        yield _entry(
            "tenants", "Functions with other rights", _counted(len(calling)),
            table(("Statement", "Calls"), [(link(each.label), each.isolation) for each in calling]),
        )  # fmt: skip
    for scope, title in (("platform", "All tenants"), ("shared", "No tenant")):
        if found := by_scope[scope]:
            rows = [(link(each.label), each.doc, each.isolation) for each in found]
            yield _entry(
                "tenants",
                title,
                f"scope {scope}, {_counted(len(found))}",
                table(("Statement", "Does", "Tenants"), rows),
            )


def _linked(statements: Sequence[Facts]) -> list[Content]:
    return [content for each in statements for content in (link(each.label), " ")]


def _nulls(statements: Sequence[Facts]) -> Iterator[Markup]:
    """One entry for each row model with nullable columns, and one for all statements that return a single value.

    In an entry, statements whose column becomes the same field and may be NULL for the same reason are combined in one row.
    """
    found: dict[str, dict[tuple[str, str], list[Facts]]] = {}
    for each in statements:
        for answer in each.answers:
            if answer.is_nullable:
                model, dot, _ = answer.becomes.partition(f".{answer.name}: ")
                reasons = found.setdefault(model if dot else "Single values", {})
                reasons.setdefault((answer.becomes if dot else answer.name, answer.why), []).append(each)
    for model in sorted(found):
        rows = [
            (code(becomes.removeprefix(f"{model}.")), why, _linked(answering))
            for (becomes, why), answering in found[model].items()
        ]
        yield _entry(
            "null",
            model,
            f"{len({becomes for becomes, _ in found[model]})} columns",
            table(("Column", "May be NULL because", "Answered by"), rows),
        )


def _routes(statements: Sequence[Facts]) -> Iterator[Markup]:
    found: dict[str, dict[str, Facts]] = {}
    for each in statements:
        for caller in each.callers:
            for route in caller.routes:
                found.setdefault(route, {})[each.label] = each
    spread = {each.label: sum(len(caller.routes) for caller in each.callers) for each in statements}
    for route in sorted(found, key=lambda name: (name.partition(" ")[2], name)):
        # Statements that few requests may run come first, because they are the most typical of this request.
        own = sorted(found[route].values(), key=lambda each: spread[each.label])
        yield _entry("request", route, _counted(len(own)), _list(own))


def _repositories(statements: Sequence[Facts]) -> Iterator[Markup]:
    found: dict[str, list[Facts]] = {}
    for each in statements:
        found.setdefault(each.repository, []).append(each)
    for name, own in sorted(found.items()):
        yield _entry("repository", name, _counted(len(own)), _list(own))


def _list(statements: Iterable[Facts]) -> Markup:
    return table(("Statement", "Does"), [(link(each.label), each.doc) for each in statements])
