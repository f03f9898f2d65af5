"""The columns that an archive contains, and the statements in `sql/offboarding/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service import files
from service.database.connection import Connection
from service.database.translation import translate
from service.operations import sealing
from service.statements import query_files
from service.statements.statement import Statement

SEALED: Mapping[str, tuple[str, ...]] = {each.name: each.personal for each in sealing.AGGREGATES}
"""The columns with personal data, by table. The database contains their values sealed, an archive in plain text."""

MAC = "key_mac"
"""The column with the MAC of an API key. An archive does not contain it: the MAC is valid only with this installation's keys."""

NO_HASH = "!"
"""A value that matches no password. In an archive it replaces a password hash that the service did not write."""


def statements(name: str) -> Mapping[str, Statement]:
    """The statements of `sql/offboarding/<name>.sql`, in the file's order."""
    return query_files.read(files.sql("offboarding", f"{name}.sql")).statements


def call(statement: Statement, **given: object) -> tuple[str, Sequence[object]]:
    """The SQL text of a statement and the values of its parameters. An optional line is included if its parameters are given."""
    variant = statement.variants[statement.key(given)]
    return variant.text, [given[parameter] for parameter in variant.parameters]


async def columns(connection: Connection, statement: Statement) -> dict[str, str]:
    """The names and types of the statement's result columns, without the column MAC, which an archive does not contain."""
    try:
        prepared = await connection.raw.prepare(statement.variants[0].text)
    except Exception as error:
        raise translate(error, connection_lost=connection.is_closed()) from error
    return {each.name: each.type.name for each in prepared.get_attributes() if each.name != MAC}
