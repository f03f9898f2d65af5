"""Checks that the database roles have the privileges that their statements need.

The role that serves requests must have no others.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator
from typing import Any

from service import files
from service.checks.findings import Finding, Span
from service.checks.proofs.catalog import Catalog
from service.checks.proofs.describing import describing
from service.checks.proofs.scopes import QueryScope
from service.checks.proofs.tree import Node, walk
from service.checks.proving import Subject
from service.statements import query_files

SERVING = "quarry_app"
ROLES = (SERVING, "quarry_platform")
_OFFSET = 7
"""Column numbers in the tree's sets are higher by this: minus `FirstLowInvalidHeapAttributeNumber`, for system columns."""
_BITS = {"SELECT": 2, "INSERT": 1, "UPDATE": 4, "DELETE": 8}
_COLUMNS = {"SELECT": "selectedCols", "INSERT": "insertedCols", "UPDATE": "updatedCols"}

_OUTSIDE = {
    ("quarry_app", "app.claim_keys"): "tenancy/guard.py compares the keys at start",
    ("quarry_app", "app.commit_outcome"): "database.py asks it about a lost commit",
    ("quarry_app", "app.is_sealed"): "the CHECKs of sealed columns call it",
    ("quarry_platform", "app.commit_outcome"): "database.py asks it about a lost commit",
    ("quarry_app", "app.enter"): "tenancy/binding.py begins with it",
    ("quarry_app", "app.entered"): "the template read.sql calls it",
    ("quarry_app", "app.rfc3339"): "the template read.sql calls it",
    ("quarry_app", "app.reach"): "replicas.py begins with it on a replica",
    ("quarry_platform", "app.enter_life"): "a pool enters it when it connects",
    ("quarry_platform", "app.current_tenant"): "policies of tables call it",
}
"""Functions that are called from outside the statements in sql/ and seeds/, and what calls them."""
_WITHIN = {"app.enter": ("quarry_app", "SELECT s.name FROM app.schemas AS s WHERE s.tenant_id = app.current_tenant()")}
"""The statements in functions that run with the caller's rights: the role that calls the function, and the statement.

The tree of the calling statement does not show them.
"""
_GRANT = re.compile(r"^GRANT\b[^;]*", re.MULTILINE)
_WORD = re.compile(r"\w+")
_ROLE_OF = {"tenant": "quarry_app", "shared": "quarry_app", "platform": "quarry_platform"}

Privilege = tuple[str, str, int, int]
"""Role, privilege, oid of a relation or function, number of a column (0: the whole relation or function)."""


async def granted(connection: Any) -> set[Privilege]:
    """What the roles may do in the connection's database."""
    text = files.sql("checks", "privileges.sql").read_text(encoding="utf-8")
    return {tuple(row) for row in await connection.fetch(text, list(ROLES))}


def needed(scope: QueryScope, role: str) -> Iterator[Privilege]:
    """The privileges that a query needs.

    SELECT on column 0 means that any column is enough, because the query reads none: it only counts or locks rows.
    """
    for query in scope.queries:
        for each in query.permissions:
            if each["requiredPerms"] and each["relid"] in scope.catalog.relations:
                yield from _of(each, role)
    for callee in scope.callees:
        if callee.function.is_ours:
            yield role, "EXECUTE", callee.function.oid, 0
    for sequence in sequences_of(scope.node, scope.catalog):
        yield role, "USAGE", sequence, 0


def sequences_of(value: Any, catalog: Catalog) -> Iterator[int]:
    """The sequences that a tree draws numbers from, as defaults of columns do. Identity columns need no privilege."""
    for node in walk(value):
        function = catalog.functions.get(node["funcid"]) if node.kind == "FUNCEXPR" else None
        if function is not None and (function.schema, function.name) == ("pg_catalog", "nextval"):
            for each in walk(node["args"]):
                if each.kind == "CONST" and isinstance(each["constvalue"], list):
                    number = int.from_bytes(each["constvalue"][-1][:4], "little")
                    if number in catalog.sequences:
                        yield number


def _of(permission: Node, role: str) -> Iterator[Privilege]:
    for privilege, bit in _BITS.items():
        if permission["requiredPerms"] & bit:
            columns = permission[_COLUMNS[privilege]] if privilege in _COLUMNS else ()
            for number in columns or (_OFFSET,):
                yield role, privilege, permission["relid"], number - _OFFSET


async def elsewhere(connection: Any, catalog: Catalog) -> set[Privilege]:
    """The privileges that something else than statements of repositories needs.

    That is seeds, offboarding, the template of cached reads, the statements in `_WITHIN`, and calls of functions in `_OUTSIDE`.
    """
    found = {
        (role, "EXECUTE", function.oid, 0)
        for role, name in _OUTSIDE for function in catalog.functions.values() if function.qualified == name
    }  # fmt: skip
    async with describing(connection, catalog) as describer:
        for role, text in _loose():
            await connection.execute(f"SET ROLE {role}")
            try:
                found |= set(needed((await describer.describe(text)).scope, role))
            finally:
                await connection.execute("RESET ROLE")
    return found


def _loose() -> Iterator[tuple[str, str]]:
    stamped = files.sql("templates", "stamped.sql").read_text(encoding="utf-8")
    yield "quarry_app", stamped.replace("/* the statement */", "SELECT 1")
    yield from _WITHIN.values()
    for path in sorted([*files.seeds().glob("*/*.sql"), *files.sql("offboarding").glob("*.sql")]):
        for statement in query_files.read(path).statements.values():
            if statement.scope in _ROLE_OF:
                for variant in statement.variants.values():
                    yield _ROLE_OF[statement.scope], variant.text


def check(
    subjects: Iterable[Subject], catalog: Catalog, held: set[Privilege], used_elsewhere: set[Privilege]
) -> list[Finding]:
    """Add a finding to a statement for each privilege that it lacks.

    Return findings for the privileges of the serving role that nothing needs.

    The platform's role may have unneeded privileges, because operators use it in psql.
    """
    used = set(used_elsewhere)
    for subject in subjects:
        for proved in subject.proved.values():
            for privilege in (each for query in proved.run for each in needed(query, subject.entry.role)):
                used.add(privilege)
                if not _is_held(privilege, held):
                    subject.say(
                        "privilege-missing", f"{privilege[0]} may not {_said(privilege, catalog)}",
                        proved="running it would be refused",
                        remedy=f"GRANT {_grant(privilege, catalog)} TO {privilege[0]} in a migration",
                    )  # fmt: skip
    any_column = {(role, name, object) for role, name, object, number in used if not number}
    return [
        Finding(
            "privilege-unneeded", privilege[0], _granting(privilege, catalog),
            f"it may {_said(privilege, catalog)}, and no statement does", "",
            f"REVOKE {_grant(privilege, catalog)} FROM {privilege[0]} in a migration",
        )
        for privilege in sorted(held - used, key=lambda each: (each[0], _said(each, catalog)))
        if privilege[0] == SERVING and privilege[3] >= 0 and (privilege[:3] not in any_column or privilege[3])
    ]  # fmt: skip


def _is_held(privilege: Privilege, held: set[Privilege]) -> bool:
    role, name, object, number = privilege
    if privilege in held:
        return True
    return number == 0 and name in _COLUMNS and any(each[:3] == (role, name, object) for each in held)


def _granting(privilege: Privilege, catalog: Catalog) -> Span:
    """The last GRANT in the migrations with the words of a privilege; the folder of the migrations if there is none."""
    role, name, object, _ = privilege
    things = {"EXECUTE": catalog.functions, "USAGE": {}}.get(name, catalog.relations)
    thing = things[object].name if object in things else catalog.sequences.get(object, "").rpartition(".")[2]
    found = [span for span, words in _grants() if {name, thing, role} <= words]
    return found[-1] if found else Span(files.sql("migrations"), 1)


@functools.cache
def _grants() -> list[tuple[Span, set[str]]]:
    """The place of each GRANT in the migrations, and the words in it."""
    found = []
    for path in sorted(files.sql("migrations").glob("*/*.sql")):
        text = path.read_text(encoding="utf-8") if ".rollback." not in path.name else ""
        for match in _GRANT.finditer(text):
            first = match.group().partition("\n")[0]
            span = Span(path, text.count("\n", 0, match.start()) + 1, 0, len(first))
            found.append((span, set(_WORD.findall(match.group()))))
    return found


def _said(privilege: Privilege, catalog: Catalog) -> str:
    _, name, object, number = privilege
    if name == "EXECUTE":
        return f"execute {catalog.functions[object].qualified}()"
    if name == "USAGE":
        return f"draw numbers from {catalog.sequences[object]}"
    relation = catalog.relations[object]
    return f"{name} {relation.qualified}{f'.{relation.column_name(number)}' if number else ''}"


def _grant(privilege: Privilege, catalog: Catalog) -> str:
    _, name, object, number = privilege
    if name == "EXECUTE":
        function = catalog.functions[object]
        return f"EXECUTE ON FUNCTION {function.qualified}({function.arguments})"
    if name == "USAGE":
        return f"USAGE ON SEQUENCE {catalog.sequences[object]}"
    relation = catalog.relations[object]
    return f"{name}{f' ({relation.column_name(number)})' if number else ''} ON {relation.qualified}"
