"""Random schemas of three tenant tables, each a child of the one before, and random rows for them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from random import Random
from typing import Any
from uuid import UUID

from service.checks.runs.trials import TENANTS

ROWS = 24
"""The number of rows that each of two tenants has in each table."""

SEQUENCE_ENDS = 100_000
"""Above the numbers that statements draw from the sequence of an identity column."""

_NAMES = (
    ("shops", "orders", "items"), ("authors", "books", "loans"), ("teams", "tasks", "remarks"),
    ("wards", "beds", "stays"), ("fleets", "vans", "trips"), ("mailboxes", "letters", "stamps"),
)  # fmt: skip
_TITLES, _NOTES = ("title", "label", "subject", "caption"), ("note", "details", "body")
_STATES = {"state": ("open", "closed"), "phase": ("new", "running", "done"), "stage": ("raw", "ready", "sent", "lost")}
_AMOUNTS = {"amount_minor": ("bigint", "int"), "units": ("integer", "int"), "price": ("numeric(12, 2)", "Decimal")}
_DUES = {"due_on": ("date", "date"), "due_at": ("timestamptz", "datetime")}
_CODES = {"code": ("text", "str"), "number": ("integer", "int"), "reference": ("uuid", "UUID")}
_START = datetime(2024, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Column:
    """A column with its type in SQL and in a model, and the texts that its CHECK lists."""

    name: str
    sql: str
    python: str
    is_nullable: bool = False
    texts: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """What a model writes."""
        type_ = f"Literal[{', '.join(map(repr, self.texts))}]" if self.texts else self.python
        return f"{type_} | None" if self.is_nullable else type_

    @property
    def definition(self) -> str:
        """What CREATE TABLE writes."""
        check = f" CHECK ({self.name} IN ({', '.join(map(repr, self.texts))}))" if self.texts else ""
        return f"{self.name} {self.sql}{'' if self.is_nullable else ' NOT NULL'}{check}"


@dataclass(frozen=True)
class Table:
    """A tenant table; `alias` is unique in its schema, `is_kept` says whether deleted rows stay, with deleted_at."""

    name: str
    alias: str
    title: Column
    note: Column
    state: Column
    amount: Column
    due: Column
    code: Column
    key: Column
    is_kept: bool
    parent: Table | None
    parent_key: Column | None

    @property
    def live(self) -> str:
        """The condition that a row is not deleted, to append to others."""
        return f" AND {self.alias}.deleted_at IS NULL" if self.is_kept else ""

    @property
    def bound(self) -> str:
        """The condition that the tenant is the caller's, with that on deleted rows."""
        return f"{self.alias}.tenant_id = :tenant_id{self.live}"

    @property
    def source(self) -> str:
        """The table as FROM names it."""
        return f"{self.name} AS {self.alias}"

    @cached_property
    def columns(self) -> list[Column]:
        """All that have a value of their own: neither the tenant nor deleted_at."""
        return [
            self.key, *([self.parent_key] if self.parent_key else []), self.title, self.note, self.state, self.amount,
            self.due, self.code, Column("created_at", "timestamptz", "datetime"), Column("version", "integer", "int"),
        ]  # fmt: skip

    def ddl(self) -> str:
        """The statements that create it as the migrations of this project create tables."""
        number = "GENERATED ALWAYS AS IDENTITY" if self.key.python == "int" else "DEFAULT gen_random_uuid()"
        own = [
            f"{self.key.definition} {number}",
            *(each.definition for each in self.columns[1:-2]),
            "created_at timestamptz NOT NULL DEFAULT now()", "version integer NOT NULL DEFAULT 1", "deleted_at timestamptz",
            f"CONSTRAINT {self.name}_pkey PRIMARY KEY (tenant_id, {self.key.name})",
            f"CONSTRAINT {self.name}_code UNIQUE (tenant_id, {self.code.name})",
            "FOREIGN KEY (tenant_id) REFERENCES app.tenants (id)",
        ]  # fmt: skip
        heads = [self.state.name]
        if self.parent and self.parent_key:
            heads.append(self.parent_key.name)
            own.append(f"FOREIGN KEY (tenant_id, {self.parent_key.name}) REFERENCES {self.parent.name} (tenant_id, id)")
        orders = ["created_at DESC", *(f"{each}, created_at DESC" for each in heads)]
        indexes = "".join(f"CREATE INDEX ON {self.name} (tenant_id, {each}, {self.key.name} DESC);" for each in orders)
        return (
            f"CREATE TABLE {self.name} (tenant_id uuid NOT NULL DEFAULT app.current_tenant(), {', '.join(own)}); {indexes}"
            f" CREATE INDEX ON {self.name} (tenant_id, {self.due.name}, {self.key.name});"
            f" ALTER TABLE {self.name} ENABLE ROW LEVEL SECURITY; ALTER TABLE {self.name} FORCE ROW LEVEL SECURITY;"
            f" CREATE POLICY tenant ON {self.name} USING (tenant_id = app.current_tenant());"
            f" GRANT SELECT, INSERT, UPDATE, DELETE ON {self.name} TO quarry_app;"
        )


@dataclass
class Schema:
    """Three tables and their rows: `rows` maps the name of a table to the rows of the first tenant, then of the second."""

    seed: str
    tables: list[Table]
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def ddl(self) -> str:
        """The statements that create all tables."""
        return " ".join(each.ddl() for each in self.tables)

    async def fill(self, connection: Any, *, is_backwards: bool = False) -> None:
        """Insert all rows, or all rows in reverse order."""
        await connection.execute("SET LOCAL session_replication_role = replica")
        for number, tenant in enumerate(TENANTS):
            await connection.execute(
                "INSERT INTO app.tenants (id, name, domain) VALUES ($1, 'agency', $2)", tenant, f"{number}.example"
            )
        for name, rows in self.rows.items():
            await connection.execute(
                f"INSERT INTO {name} OVERRIDING SYSTEM VALUE"
                f" SELECT * FROM jsonb_populate_recordset(NULL::{name}, $1::text::jsonb)",
                json.dumps([*reversed(rows)] if is_backwards else rows, default=str),
            )
        await connection.execute("SET LOCAL session_replication_role = origin")


ODDITIES = ("", "doubles", "unknown times", "untitled", "odd texts")
"""What constraints usually keep out: codes that several rows have, NULL as created_at or title, texts that no CHECK lists."""


def schema(seed: str, oddity: str = "", odd: str = "") -> Schema:
    """The schema of a seed, with its rows; those of the table `odd` have one of the `ODDITIES`."""
    chance = Random(f"schema {seed}")
    names, tables = chance.choice(_NAMES), list[Table]()
    for name in names:
        parent = tables[-1] if tables else None
        tables.append(_table(chance, name, "abc"[len(tables)], parent))
    made = Schema(seed, tables)
    for table in tables:
        made.rows[table.name] = _rows(chance, table, made, oddity if table.name == odd else "")
    return made


def _table(chance: Random, name: str, alias: str, parent: Table | None) -> Table:
    def of(kinds: dict[str, tuple[str, str]], *, is_nullable: bool) -> Column:
        column = chance.choice([*kinds])
        return Column(column, *kinds[column], is_nullable=is_nullable)

    state = chance.choice([*_STATES])
    key = Column("id", *chance.choice([("uuid", "UUID"), ("uuid", "UUID"), ("bigint", "int")]))
    parent_key = None
    if parent:
        parent_key = Column(
            f"{parent.name[:-1]}_id", parent.key.sql, parent.key.python, is_nullable=chance.random() < 0.3
        )
    return Table(
        name, alias,
        title=Column(chance.choice(_TITLES), "text", "str"),
        note=Column(chance.choice(_NOTES), "text", "str", is_nullable=True),
        state=Column(state, "text", "str", texts=_STATES[state]),
        amount=of(_AMOUNTS, is_nullable=chance.random() < 0.4),
        due=of(_DUES, is_nullable=True),
        code=of(_CODES, is_nullable=False),
        key=key, is_kept=chance.random() < 0.5, parent=parent, parent_key=parent_key,
    )  # fmt: skip


def _rows(chance: Random, table: Table, made: Schema, oddity: str) -> list[dict[str, Any]]:
    found = []
    for place, tenant in enumerate(TENANTS):
        for number in range(1, ROWS + 1):
            row = {each.name: _value(chance, each, number) for each in table.columns}
            if table.parent and table.parent_key and row[table.parent_key.name] is not None:
                theirs = made.rows[table.parent.name][place * ROWS :][:4]
                row[table.parent_key.name] = chance.choice(theirs)[table.parent.key.name]
            if oddity and chance.random() < 0.4:
                row |= {
                    "doubles": {table.code.name: _value(chance, table.code, 2)},
                    "unknown times": {"created_at": None},
                    "untitled": {table.title.name: None},
                    "odd texts": {table.state.name: "odd"},
                }[oddity]
            deleted = _START if table.is_kept and chance.random() < 0.2 else None
            found.append(row | {"tenant_id": tenant, "deleted_at": deleted})
    return found


def _value(chance: Random, column: Column, number: int) -> Any:
    if column.is_nullable and chance.random() < 0.4:
        return None
    if column.texts:
        return chance.choice(column.texts)
    if column.name == "id":
        # Both tenants have the same ids: a statement that forgets the tenant meets the other one's row.
        return UUID(int=number) if column.python == "UUID" else SEQUENCE_ENDS + number
    if column.name in _CODES:
        codes = {"str": f"c{number}", "int": number, "UUID": UUID(int=number)}
        return codes[column.python]
    return {
        "str": chance.choice("abc"), "int": chance.randint(1, 3), "Decimal": chance.randint(1, 3),
        "date": date(2024, 1, chance.randint(1, 3)), "datetime": _START + timedelta(days=chance.randint(0, 2)), "UUID": "",
    }[column.python]  # fmt: skip
