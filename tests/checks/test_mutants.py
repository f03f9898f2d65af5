"""The repository's own statements, each with one defect put in: every mutant has to be told of."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.checks import entries as catalogue
from service.checks import proving, suite
from service.checks.entries import Entry
from service.checks.proofs import catalog
from service.checks.proving import Subject, understanding
from service.statements import query_files
from service.statements.statement import StatementError
from service.work import Work

_TENANT = r"(?:\w+\.)?(?:tenant_id|id) = :tenant_id\b"
MUTATIONS = {
    "the tenant's condition is dropped": (rf"\b{_TENANT}", "true"),
    "the tenant's condition is moved into OR": (rf"\b({_TENANT})", r"(\1 OR now() IS NULL)"),
    "another is compared with the tenant": (r"\b(?:\w+\.)?tenant_id = :tenant_id\b", ":tenant_id = :tenant_id"),
    "the last key of the order is dropped": (r"(ORDER BY [^\n()]+), [\w.]+(?: DESC)?(?=\n LIMIT)", r"\1"),
    "the limit is dropped": (r"\n LIMIT :?\w+", ""),
    "the key is not compared": (r"\n   AND (?:\w+\.)?id = :id(?=\n)", ""),
    "the key is compared otherwise": (r"\b((?:\w+\.)?id) = :id\b", r"\1 >= :id"),
    "a page goes the other way": (r"\) < \(:after", ") > (:after"),
    "a page begins with its last row again": (r"\) < \(:after", ") <= (:after"),
}
JOINED = "its tables are joined by the tenant, so that one condition speaks for all"
EQUIVALENT = {
    **dict.fromkeys(
        (
            "api_keys.authenticate", "campaign_influencers.page", "campaign_influencers.put", "contents.find", "contents.page",
            "contents.remove", "contents.update", "log.audit", "sessions.authenticate", "sessions.create", "users.is_known",
        ),
        JOINED,
    ),
    **dict.fromkeys(("brands.exists", "campaigns.exists", "influencers.exists"), "EXISTS is one value for several rows, too"),
}  # fmt: skip
"""Statements of which a mutant is no defect that a check could know of, and why."""


def mutants(entry: Entry, folder: Path, pattern: str, instead: str) -> Iterator[Entry]:
    """The statement with the pattern replaced, at one place at a time."""
    statement = entry.statement
    text = statement.place.path.read_text(encoding="utf-8")
    begin = text.index(f"-- name: {statement.name} :")
    end = text.find("\n-- name:", begin + 1)
    own = text[begin : end if end > 0 else len(text)]
    for match in re.finditer(pattern, own):
        changed = own[: match.start()] + match.expand(instead) + own[match.end() :]
        path = folder / statement.place.path.name
        path.write_text(text[:begin] + changed + (text[end:] if end > 0 else ""), encoding="utf-8")
        try:
            yield replace(entry, statement=query_files.read(path).statements[statement.name])
        except StatementError:
            continue  # It is refused when it is loaded.


def told(subject: Subject) -> bool:
    """Whether anything is found of a statement."""
    for check in suite.OF_ONE:
        with understanding(subject):
            check(subject)
    return bool(subject.findings)


@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_every_mutant_is_told(ground: Any, tmp_path: Path, mutation: str) -> None:
    planted = [each for entry in catalogue.entries(Work) for each in mutants(entry, tmp_path, *MUTATIONS[mutation])]
    # `make soak` proves all of them.
    planted = planted if "SOAK" in os.environ else planted[::4]
    if "key is" in mutation:
        # What counts, or writes, may mean several rows.
        planted = [
            each
            for each in planted
            if each.statement.kind != "count" and "UPDATE" not in each.statement.variants[0].text
        ]
    subjects = await proving.prove(ground, await catalog.load(ground), planted)
    missed = {each.entry.label for each in subjects if not told(each)} - set(EQUIVALENT)
    assert planted
    assert missed == set()
