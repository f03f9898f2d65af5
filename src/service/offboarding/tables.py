"""What an archive holds of which table, and the statements of `sql/offboarding/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service import files
from service.database.connection import Connection
from service.database.translation import translate
from service.operations import sealing
from service.statements import query_files
from service.statements.statement import Statement

SEALED: Mapping[str, tuple[str, ...]] = {each.name: each.personal for each in sealing.AGGREGATES}
"""Columns of personal data: plain text in an archive."""

MAC = "key_mac"
"""What stands beside an API key's hash: of this installation's keys, not for an archive."""

NO_HASH = "!"
"""What no password has; in the place of a hash that somebody has put there by hand."""


def statements(name: str) -> Mapping[str, Statement]:
    """The statements of `sql/offboarding/<name>.sql`, in the file's order."""
    return query_files.read(files.sql("offboarding", f"{name}.sql")).statements


def call(statement: Statement, **given: object) -> tuple[str, Sequence[object]]:
    """What to send: the variant whose optional lines have their parameters given, and the values of those it has."""
    variant = statement.variants[statement.key(given)]
    return variant.text, [given[parameter] for parameter in variant.parameters]


async def columns(connection: Connection, statement: Statement) -> dict[str, str]:
    """The columns that an archive has of a statement's answer, with their types."""
    try:
        prepared = await connection.raw.prepare(statement.variants[0].text)
    except Exception as error:
        raise translate(error, connection_lost=connection.is_closed()) from error
    return {each.name: each.type.name for each in prepared.get_attributes() if each.name != MAC}
