"""Everyday statements over a random schema: what every service asks of its tables, written as a reviewer would let it pass."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from checks import everyday_reads, everyday_writes
from checks.everyday_schema import ROWS, Column, Schema, Table
from checks.everyday_writer import Writer
from checks.planting import Plant


@dataclass(frozen=True)
class Everyday:
    """A statement over the table `about`; with `is_page`, it is one page, and takes the last row of the page before."""

    name: str
    plant: Plant
    about: Table
    is_page: bool = False


def statements(schema: Schema) -> list[Everyday]:
    """All templates over this schema."""
    writer = Writer(schema)
    made = []
    for template in (*everyday_reads.TEMPLATES, *everyday_writes.TEMPLATES):
        plant = template(writer)
        is_page = template in everyday_reads.PAGES
        made.append(Everyday(template.__name__.strip("_"), plant, writer.b, is_page))
    return made


def values(schema: Schema, each: Everyday, names: list[str], chance: Random) -> dict[str, Any]:
    """Values of these parameters, from rows of the first tenant."""
    a, b, c = (schema.rows[table.name] for table in schema.tables)
    row, up, down = chance.choice(b[:ROWS]), chance.choice(a[:4]), chance.choice(c[:ROWS])
    _, table, child = schema.tables
    days = [each[table.due.name] for each in b[:ROWS] if each[table.due.name]]
    known = {
        "id": row["id"], "parent": up["id"], "child": down["id"], "ids": [row["id"], b[0]["id"]],
        "code": row[table.code.name], "state": row[table.state.name], "title": "a", "note": None, "amount": 1,
        "due": row[table.due.name], "limit": 3, "since": min(days), "until": max(days), "q": "%a%", "version": row["version"],
        "after_created_at": row["created_at"], "after_id": row["id"], "child_state": down[child.state.name], "child_amount": 1,
        "titles": ["x", "y"], "new_code": fresh(table.code), "new_codes": [fresh(child.code), fresh(child.code, 1)],
    }  # fmt: skip
    return {name: known[name] for name in names}


def fresh(code: Column, number: int = 0) -> Any:
    """A code that no row has."""
    return {"str": f"new{number}", "int": 9000 + number, "UUID": UUID(int=9000 + number)}[code.python]
