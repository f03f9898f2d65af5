"""Functions that statements and tables run: their owners' rights, what they read and set, and whether their labels are true."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from service import files
from service.checks import spans
from service.checks.findings import Finding, Span
from service.checks.proofs import system_functions
from service.checks.proofs.bodies import Bodies, bodies_of, lies
from service.checks.proofs.callees import Callee, callees
from service.checks.proofs.catalog import Catalog, Function
from service.checks.proving import Proved, Subject
from service.statements import lexer
from service.statements.lexer import Kind

_DECLARATION = re.compile(r"(?P<function>[\w.]+): (?P<code>[a-z-]+): (?P<reason>\S.*)")
_READABLE = frozenset({"pg_timezone_names", "pg_timezone_abbrevs"})
"""Relations of pg_catalog that any statement may read: the same for all."""
_TENANT = """
DECLARE bound text := current_setting('app.tenant_id', true);
BEGIN
    IF bound IS NULL OR bound = '' THEN
        RAISE EXCEPTION 'no tenant is bound to this transaction' USING ERRCODE = 'TN001';
    END IF;
    RETURN bound::uuid;
END
"""
"""What app.current_tenant() must do: all policies rest on it."""

Fault = tuple[str, str, str]
"""Code, message, remedy."""


def check(subject: Subject) -> None:
    """Everything that a statement itself runs, in every variant."""
    bodies = bodies_of(subject.catalog)
    for proved in subject.proved.values():
        for query in proved.run:
            for callee in query.callees:
                if not callee.function.is_ours:
                    _system(subject, proved, callee)
                elif callee.function.oid != subject.catalog.tenant_function:
                    _own(subject, proved, callee, bodies)
            for each in query.queries:
                _relations(subject, {relid for relid in (entry["relid"] for entry in each.entries) if relid})


def _own(subject: Subject, proved: Proved, callee: Callee, bodies: Bodies) -> None:
    function, how = callee.function, f" {callee.how}" if callee.how else ""
    body = bodies.of(function)
    place = spans.at(subject.entry.statement, proved.key, callee.location)
    is_plain = function.is_immutable and not (function.is_definer or body.tables or body.unread or body.acts)
    if not is_plain and not subject.note("calls", function.qualified):
        rights = "runs with its owner's rights" if function.is_definer else _what(body.unread, "may read tables itself")
        subject.say(
            "function-undeclared", f"it calls {function.qualified}(){how}, which {rights}", span=place,
            proved="what a function reads is not in the statement",
            remedy=f"write '-- calls: {function.qualified} because …'",
        )  # fmt: skip
    for code, message, remedy in _faults(function, subject.catalog, bodies):
        if not is_declared(function, code):
            subject.say(code, message, span=place, proved=f"it is called{how or ' by the statement'}", remedy=remedy)


def _what(unread: str, otherwise: str) -> str:
    return f"can't be read: {unread}" if unread else otherwise


def _faults(function: Function, catalog: Catalog, bodies: Bodies) -> Iterator[Fault]:
    """What is wrong with a function of ours, whoever calls it."""
    name, body, routine = function.qualified, bodies.of(function), catalog.routines.get(function.oid)
    for why in lies(function, body):
        yield "function-volatility", f"{name}() is not what it says: {why}", "label it STABLE or VOLATILE, as it is"
    if body.sets:
        yield (
            "function-sets",
            f"{name}() changes a setting: {body.sets}",
            "leave the tenant and the role as they are bound",
        )
    is_open = not any(each.startswith("search_path=") for each in (routine.config if routine else ()))
    if function.is_definer and is_open:
        yield (
            "search-path-open", f"{name}() runs with its owner's rights and with its caller's search_path",
            f"ALTER FUNCTION {name}({function.arguments}) SET search_path = ''",
        )  # fmt: skip


def _system(subject: Subject, proved: Proved, callee: Callee) -> None:
    function = callee.function
    kind = system_functions.kind(function)
    # A sequence call without a position in the text comes from a column's default, so it is allowed.
    if kind in system_functions.ALLOWED or (kind == "sequences" and callee.location < 0):
        return
    place, does = spans.at(subject.entry.statement, proved.key, callee.location), system_functions.does(function)
    if kind in system_functions.TELLING:
        if not subject.note("crosses"):
            subject.say(
                "statistics-told", f"it calls {function.name}(), which {does}", span=place,
                proved="what the server counts and knows has no policies",
                remedy="write '-- crosses: who is told, and why that is well'",
            )  # fmt: skip
    elif not subject.note("calls", function.name):
        subject.say(
            "system-function", f"it calls {function.name}(), which {does}", span=place,
            proved="no policy and no privilege keeps it to the tenant",
            remedy=f"do without it, or write '-- calls: {function.name} because …'",
        )  # fmt: skip


def _relations(subject: Subject, oids: Iterable[int]) -> None:
    for oid in oids:
        name = subject.catalog.system.get(oid)
        if name is not None and name not in _READABLE and not subject.note("crosses"):
            subject.say(
                "system-relation", f"it reads {name}, which tells of all tenants together",
                span=spans.of_word(subject.entry.statement, name),
                proved="the server's own tables and views, materialized views, foreign tables and sequences have no policies",
                remedy="write '-- crosses: who is told, and why that is well'",
            )  # fmt: skip


def implied(catalog: Catalog) -> list[Finding]:
    """What runs when any table is written, and app.current_tenant(), on which all policies rest."""
    bodies, found = bodies_of(catalog), list(_tenant(catalog))
    existing = {each.qualified for each in catalog.functions.values()}
    for each in catalog.implied:
        functions = [catalog.functions[each.function]] if each.function else []
        functions += [callee.function for callee in callees(each.expression, catalog)]
        for function in functions:
            if function.oid == catalog.tenant_function:
                continue
            handed = bodies.hands_on(function)
            is_handed = bool(handed) and all(is_declared(other, "function-undeclared") for other in handed)
            for code, message, remedy in _implied_faults(function, catalog, bodies):
                if is_handed and code == "function-undeclared":
                    continue
                if not is_declared(function, code):
                    found.append(Finding(
                        code, function.qualified, creation(function.name), f"{each.what}: {message}", "", remedy
                    ))  # fmt: skip
    found += [
        Finding(
            "declaration-unneeded", name, Span(_declarations_path(), 1), f"there is no function {name}() to declare", "",
            "remove the line",
        )
        for name in sorted({name for name, _ in _declarations()} - existing)
    ]  # fmt: skip
    names = [each.qualified for each in catalog.functions.values() if each.is_ours]
    found += [
        Finding(
            "declaration-ambiguous", name, Span(_declarations_path(), 1), f"there are several functions {name}()", "",
            "give the others another name: a declaration is of one function",
        )
        for name in sorted({name for name, _ in _declarations()}) if names.count(name) > 1
    ]  # fmt: skip
    return list(dict.fromkeys(found))


def _implied_faults(function: Function, catalog: Catalog, bodies: Bodies) -> Iterator[Fault]:
    if not function.is_ours:
        kind = system_functions.kind(function)
        # A trigger of the server's own, a key that a sequence gives.
        if kind not in system_functions.ALLOWED and kind != "sequences":
            yield "system-function", f"{function.name}() {system_functions.does(function)}", "do without it"
        return
    yield from _faults(function, catalog, bodies)
    body = bodies.of(function)
    if body.acts:
        yield (
            "function-acts", f"{function.qualified}() calls {body.acts}, which a statement may not call",
            f"declare it in {_declarations_path().name}: {function.qualified}: function-acts: why",
        )  # fmt: skip
    if function.is_definer:
        yield (
            "function-undeclared", f"{function.qualified}() runs with its owner's rights",
            f"declare it in {_declarations_path().name}: {function.qualified}: function-undeclared: why",
        )  # fmt: skip
    if body.unread:
        yield (
            "function-unread", f"what {function.qualified}() does can't be read: {body.unread}",
            f"declare it in {_declarations_path().name}: {function.qualified}: function-unread: what it does",
        )  # fmt: skip


def _tenant(catalog: Catalog) -> Iterator[Finding]:
    function = catalog.functions.get(catalog.tenant_function)
    if function is None:
        return
    routine = catalog.routines[function.oid]
    is_right = (
        routine.language == "plpgsql" and _words(routine.body) == _words(_TENANT) and not function.is_definer
        and not function.is_immutable and routine.config == ('search_path=""',)
    )  # fmt: skip
    if not is_right:
        yield Finding(
            "tenant-function-differs", "app.current_tenant", creation("current_tenant"),
            "app.current_tenant() is not the function that all policies rest on",
            "it has to return the setting app.tenant_id as a uuid, and to fail if there is none",
            "restore it as the migration 0001.create-tenants makes it",
        )  # fmt: skip


def _words(text: str) -> list[str]:
    return [each.text for each in lexer.scan(text) if each.kind not in (Kind.SPACE, Kind.COMMENT) and each.text != ";"]


def is_declared(function: Function, code: str) -> bool:
    """Whether `sql/checks/declared_functions.txt` excuses a finding of a function."""
    return (function.qualified, code) in _declarations()


def _declarations_path() -> Path:
    return files.sql("checks", "declared_functions.txt")


@functools.cache
def _declarations() -> Mapping[tuple[str, str], str]:
    lines = _declarations_path().read_text(encoding="utf-8").splitlines()
    found = [match for line in lines if (match := _DECLARATION.fullmatch(line.strip()))]
    return {(match["function"], match["code"]): match["reason"] for match in found}


def creation(name: str) -> Span:
    """The last place in the migrations where a function is created; their folder if there is none."""
    pattern = re.compile(rf"^.*\bFUNCTION\s+(?:\w+\.)?{re.escape(name)}\b.*$", re.MULTILINE | re.IGNORECASE)
    found = Span(files.sql("migrations"), 1)
    for path in sorted(files.sql("migrations").glob("*/*.sql")):
        text = path.read_text(encoding="utf-8") if ".rollback." not in path.name else ""
        for match in pattern.finditer(text):
            if "CREATE" in match.group().upper():
                found = Span(path, text.count("\n", 0, match.start()) + 1, 0, len(match.group()))
    return found
