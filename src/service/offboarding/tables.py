"""Which columns an archive contains, and in which form; and the statements of `sql/offboarding/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service import files
from service.database.connection import Connection
from service.database.translation import translate
from service.operations import sealing
from service.statements import query_files
from service.statements.statement import Statement

SEALED: Mapping[str, tuple[str, ...]] = {each.name: each.personal for each in sealing.AGGREGATES}
"""The columns of personal data, by table. They are sealed in the database, and plain text in an archive."""

MAC = "key_mac"
"""The column with the MAC of an API key. It is made with this installation's keys, so an archive does not have it."""

NO_HASH = "!"
"""A value that matches no password; it replaces a hash that somebody wrote by hand."""


def statements(name: str) -> Mapping[str, Statement]:
    """The statements of `sql/offboarding/<name>.sql`, in the file's order."""
    return query_files.read(files.sql("offboarding", f"{name}.sql")).statements


def call(statement: Statement, **given: object) -> tuple[str, Sequence[object]]:
    """The text and the values to send. An optional line is included if its parameters are given."""
    variant = statement.variants[statement.key(given)]
    return variant.text, [given[parameter] for parameter in variant.parameters]


async def columns(connection: Connection, statement: Statement) -> dict[str, str]:
    """The result columns of a statement that an archive contains, with their types."""
    try:
        prepared = await connection.raw.prepare(statement.variants[0].text)
    except Exception as error:
        raise translate(error, connection_lost=connection.is_closed()) from error
    return {each.name: each.type.name for each in prepared.get_attributes() if each.name != MAC}
