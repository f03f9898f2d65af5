"""Statements with a defect beside their healthy twins, and what the checks say of both."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import asyncpg
from pydantic import Json

from service.checks import entries as catalogue
from service.checks import proving, suite
from service.checks.entries import Entry
from service.checks.findings import Finding
from service.checks.proofs import catalog
from service.checks.proving import Subject
from service.checks.rules import indexes, notes, privileges, signature
from service.checks.runs import attack, growth
from service.checks.runs.samples import Sampler
from service.checks.runs.trials import TENANTS, undone
from service.personal.marking import Personal
from service.statements import query_files
from service.statements.cached import Cached
from service.statements.repository import Repository, query
from service.statements.rows import Row

_ANSWERS = {"one": "{}", "maybe": "{} | None", "many": "list[{}]", "count": "int"}
_NAMES = {
    "__name__": __name__,
    "UUID": UUID,
    "datetime": dt.datetime,
    "date": dt.date,
    "time": dt.time,
    "timedelta": dt.timedelta,
    "Range": asyncpg.Range,
    "BitString": asyncpg.BitString,
    "IPv4Address": IPv4Address,
    "IPv4Network": IPv4Network,
    "Literal": Literal,
    "Json": Json,
    "Decimal": Decimal,
    "Personal": Personal,
    "Row": Row,
    "Repository": Repository,
    "query": query,
    "Cached": Cached,
}


@dataclass(frozen=True)
class Plant:
    """A statement and the method that binds it: `row` are the fields of its model, `takes` its parameters.

    `answers` is what a :value returns, `cached` the argument of its `query`; `header` are lines below its name.
    """

    sql: str
    kind: str = "many"
    row: str = "id: UUID"
    takes: str = ""
    answers: str = "int"
    header: str = ""
    cached: str = ""

    def but(self, **changes: str) -> Plant:
        """The same with something else in its place."""
        return replace(self, **changes)

    def where(self, old: str, new: str) -> Plant:
        """The same with another piece of SQL."""
        assert old in self.sql
        return replace(self, sql=self.sql.replace(old, new))


@dataclass(frozen=True)
class Caught:
    """A finding and the piece of the file that it points at."""

    finding: Finding

    @property
    def marked(self) -> str:
        """What is underlined; the whole line where nothing is."""
        span = self.finding.span
        line = span.path.read_text().split("\n")[span.line - 1]
        return line[span.column : span.column + span.length] if span.length else line

    @property
    def said(self) -> str:
        """All of its words."""
        return f"{self.finding.message} | {self.finding.proved} | {self.finding.remedy}"


class Garden:
    """Plants statements in a file, and has them judged on a migrated database."""

    def __init__(self, connection: Any, path: Path, *, is_shared: bool = False) -> None:
        self.connection, self.path, self.is_shared = connection, path, is_shared

    @contextlib.asynccontextmanager
    async def with_ddl(self, ddl: str) -> AsyncIterator[None]:
        """After some DDL, which is undone where others use the database too."""
        if not ddl:
            # In a transaction, a statement that is refused would end it.
            yield
            return
        async with undone(self.connection) if self.is_shared else contextlib.nullcontext():
            await self.connection.execute(ddl)
            yield

    async def judge(self, plants: Mapping[str, Plant]) -> list[Subject]:
        """What is proved without running anything."""
        return await self.judge_entries(list(catalogue.entries_of(self.define(plants))))

    async def judge_entries(self, entries: Sequence[Entry]) -> list[Subject]:
        """What is proved of statements that are defined, without running anything."""
        known = await catalog.load(self.connection)
        subjects = await proving.prove(self.connection, known, entries)
        for subject in subjects:
            for check in suite.OF_ONE:
                with proving.understanding(subject):
                    check(subject)
            with proving.understanding(subject):
                await indexes.check(self.connection, subject)
        privileges.check(subjects, known, await privileges.granted(self.connection), set())
        signature.check_models(subjects)
        return subjects

    async def run(self, plants: Mapping[str, Plant]) -> list[Subject]:
        """What is proved, and what shows when they are run on rows of two tenants."""
        subjects = await self.judge(plants)
        await attack.check(self.connection, await Sampler.of(self.connection), subjects, TENANTS)
        return subjects

    async def grow(self, plants: Mapping[str, Plant]) -> list[Subject]:
        """What is proved, and what shows when they are run on more and more rows."""
        subjects = await self.judge(plants)
        await growth.check(self.connection, await Sampler.of(self.connection), subjects, TENANTS[0])
        return subjects

    async def examine(self, plants: Mapping[str, Plant]) -> Sequence[Subject]:
        """All that `quarry sql check` finds of them."""
        entries = list(catalogue.entries_of(self.define(plants)))
        return (await suite.examine(self.connection, "quarry", entries, is_whole=False)).subjects

    def define(self, plants: Mapping[str, Plant]) -> type[Repository]:
        """A repository with a method for each of them."""
        texts, source = ["-- repository: Planted\n-- Planted for a test.\n"], ""
        body = 'class Planted(Repository, aggregate="planted", file=file):\n'
        for name, plant in plants.items():
            header = f"{plant.header}\n" if plant.header else ""
            texts.append(f"-- name: {name} :{plant.kind}\n{header}-- Planted.\n{plant.sql}\n;\n")
            model = name.capitalize()
            if plant.kind not in ("value", "count"):
                source += f"class {model}(Row): {plant.row}\n"
            answers = _ANSWERS.get(plant.kind, plant.answers).format(model)
            body += f"    @query{plant.cached}\n    async def {name}(self, {plant.takes}) -> {answers}: ...\n"
        self.path.write_text("\n".join(texts))
        names = {**_NAMES, "file": query_files.read(self.path)}
        # Annotations are evaluated at once: the models are nowhere but here.
        exec(compile(source + body, "planted", "exec", dont_inherit=True), names)
        defined: type[Repository] = names["Planted"]
        return defined


async def codes(garden: Garden, plant: Plant, ddl: str = "") -> set[str]:
    """The codes of what is proved of a statement, after some DDL."""
    async with garden.with_ddl(ddl):
        [subject] = await garden.judge({"planted": plant})
        return {each.code for each in subject.findings}


def caught(subjects: Sequence[Subject], path: Path) -> list[Caught]:
    """What was found of the last statement, and nothing of those before it; each with file, line and remedy."""
    for subject in subjects:
        notes.check(subject)
    *healthy, planted = subjects
    assert [each for subject in healthy for each in subject.findings] == []
    for each in planted.findings:
        assert (each.subject, each.span.path) == (planted.entry.label, path)
        assert each.span.line >= planted.entry.statement.place.line
        assert each.message, each
        assert each.remedy, each
    return [Caught(each) for each in planted.findings]
