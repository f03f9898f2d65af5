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
"""The column with the MAC of an API key. It is made with this installation's keys, so an archive does not have it."""

NO_HASH = "!"
"""A value that matches no password; it replaces a hash that somebody wrote by hand."""


def statements(name: str) -> Mapping[str, Statement]:
    """The statements of `sql/offboarding/<name>.sql`, in the file's order."""
    return query_files.read(files.sql("offboarding", f"{name}.sql")).statements


def call(statement: Statement, **given: object) -> tuple[str, Sequence[object]]:
    """The text and the values to send: the variant with the optional lines whose parameters are given."""
    variant = statement.variants[statement.key(given)]
    return variant.text, [given[parameter] for parameter in variant.parameters]


async def columns(connection: Connection, statement: Statement) -> dict[str, str]:
    """The columns that an archive has of a statement's answer, with their types."""
    try:
        prepared = await connection.raw.prepare(statement.variants[0].text)
    except Exception as error:
        raise translate(error, connection_lost=connection.is_closed()) from error
    return {each.name: each.type.name for each in prepared.get_attributes() if each.name != MAC}
