"""Prepares plans for reviewers: lists which index finds the rows of each table, and replaces `$1` by the parameter's name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from service.checks import plans
from service.checks.plans import Plan
from service.checks.review.facts import Access, Step
from service.statements.statement import Statement

_NUMBERED = re.compile(r"\$(\d+)")
_NAMES_ITS_SUBPLANS = 17
"""From this major version of PostgreSQL on, `$1` in a plan is always a parameter.

In plans of older versions `$1` may also be the result of a sub-plan.
"""
_SHOWN = (
    "Index Cond", "Recheck Cond", "One-Time Filter", "Filter", "Hash Cond", "Merge Cond", "Join Filter", "Function Call",
    "Sort Key", "Presorted Key", "Group Key", "Window", "Conflict Resolution", "Conflict Arbiter Indexes", "Conflict Filter",
)  # fmt: skip
INDEX, CONFLICT, SCAN = "finds rows", "finds the conflicting row", "reads all rows"
"""The values of `Access.how`: rows are found by an index, by the index that ON CONFLICT uses, or by a sequential scan."""
_ROLES = {"InitPlan": "once, before", "SubPlan": "for each row"}


def steps(plan: Plan, parameters: Sequence[str], version: int) -> Step:
    """The plan as a tree of steps; the result is its top node.

    `parameters` are the names of `$1`, `$2` and so on, which replace these in the conditions. `version` is the server's major
    version. Before version 17, `$1` is left as it is, because it may also be the result of a sub-plan.
    """
    names = parameters if version >= _NAMES_ITS_SUBPLANS else ()
    return _step(plan, names)


def _step(plan: Plan, names: Sequence[str]) -> Step:
    title = str(plan["Node Type"])
    if title == "ModifyTable":
        title = str(plan["Operation"])
    if plan.get("Join Type", "Inner") != "Inner":
        title = f"{title.removesuffix(' Join')} {plan['Join Type']} Join"
    if plan.get("Scan Direction") == "Backward":
        title += " Backward"
    table = plan.get("Relation Name") or plan.get("CTE Name") or plan.get("Function Name") or ""
    if plan.get("Schema") == "app":
        table = f"app.{table}"
    alias = plan.get("Alias", "")
    on = f"{table} AS {alias}" if alias and table and alias != table.rpartition(".")[2] else table or alias
    details = [
        (label, tuple(_named(part, names) for each in _listed(plan[label]) for part in _conjuncts(each)))
        for label in _SHOWN
        if label in plan
    ]
    role = _ROLES.get(plan.get("Parent Relationship", ""), "")
    if name := plan.get("Subplan Name", ""):
        role = f"{name}: {role}" if not name.startswith("CTE ") else name.replace("CTE", "WITH")
    return Step(
        title, on, plan.get("Index Name", ""), role, tuple(details), tuple(_step(each, names) for each in plan.get("Plans", ()))
    )  # fmt: skip


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def _named(text: str, names: Sequence[str]) -> str:
    def name(match: re.Match[str]) -> str:
        number = int(match.group(1))
        return f":{names[number - 1]}" if 0 < number <= len(names) else match.group()

    return _NUMBERED.sub(name, text)


def _conjuncts(text: str) -> Iterator[str]:
    """Split the text of a condition at its outermost ANDs: `((a) AND (b))` gives `a` and `b`."""
    inner = _unwrapped(text)
    depth, start, quoted = 0, 0, False
    for at, char in enumerate(inner):
        quoted ^= char == "'"
        if not quoted:
            depth += (char == "(") - (char == ")")
            if depth == 0 and inner.startswith(" AND ", at):
                yield _unwrapped(inner[start:at])
                start = at + len(" AND ")
    yield _unwrapped(inner[start:])


def _unwrapped(text: str) -> str:
    """Remove one pair of parentheses if it encloses the whole text: `(a = b)` gives `a = b`, `(a) OR (b)` is unchanged."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth, quoted = 0, False
    for at, char in enumerate(text):
        quoted ^= char == "'"
        depth += 0 if quoted else (char == "(") - (char == ")")
        if depth == 0:
            return text[1:-1] if at == len(text) - 1 else text
    return text


def accesses(found: Mapping[int, Plan], statement: Statement) -> list[Access]:
    """The ways in which a statement's plans find rows of each table: first sorted by table, then the most frequent way first.

    `found` maps the key of each variant that was planned to its plan.
    """
    keys: dict[tuple[str, str, str], list[int]] = {}
    for key, plan in found.items():
        for way in dict.fromkeys(_ways(plan)):
            keys.setdefault(way, []).append(key)
    ordered = sorted(keys.items(), key=lambda each: (each[0][0], -len(each[1]), each[0][1]))
    return [
        Access(table, index, how, len(using), statement.given(min(using, key=lambda key: (key.bit_count(), key))))
        for (table, index, how), using in ordered
    ]


def _ways(plan: Plan) -> Iterator[tuple[str, str, str]]:
    for node in plans.nodes(plan):
        kind = node["Node Type"]
        if kind == "ModifyTable":
            for index in node.get("Conflict Arbiter Indexes", ()):
                yield _table(node), str(index), CONFLICT
        elif kind == "Bitmap Heap Scan":
            for each in plans.nodes(node):
                if each["Node Type"] == "Bitmap Index Scan":
                    yield _table(node), str(each["Index Name"]), INDEX
        elif "Index Name" in node and "Relation Name" in node:
            yield _table(node), str(node["Index Name"]), INDEX
        elif kind == "Seq Scan":
            yield _table(node), "", SCAN


def _table(node: Mapping[str, object]) -> str:
    name = str(node.get("Relation Name", ""))
    return f"app.{name}" if node.get("Schema") == "app" else name
