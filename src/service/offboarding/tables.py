"""Says which columns an archive contains and in which form, and reads the statements in `sql/offboarding/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service import files
from service.database.connection import Connection
from service.database.translation import translate
from service.operations import sealing
from service.statements import query_files
from service.statements.statement import Statement

SEALED: Mapping[str, tuple[str, ...]] = {each.name: each.personal for each in sealing.AGGREGATES}
"""For each table with personal data, the names of the columns with this data. The database stores their values sealed; an
archive contains them in plain text.
"""

MAC = "key_mac"
"""The column with the MAC of an API key. Archives do not contain this column, because a MAC is valid only with the keys of the
installation that made it.
"""

NO_HASH = "!"
"""A password hash that matches no password. In an archive it replaces a hash that is not sealed, although it should be, and so
was not written by the service.
"""


def statements(name: str) -> Mapping[str, Statement]:
    """The statements of the file `sql/offboarding/<name>.sql` by their names, in the order of the file."""
    return query_files.read(files.sql("offboarding", f"{name}.sql")).statements


def call(statement: Statement, **given: object) -> tuple[str, Sequence[object]]:
    """The SQL text of a statement, and the values of its parameters, in the order in which the text uses them.

    The text includes those optional lines whose parameters are given.
    """
    variant = statement.variants[statement.key(given)]
    return variant.text, [given[parameter] for parameter in variant.parameters]


async def columns(connection: Connection, statement: Statement) -> dict[str, str]:
    """The columns of the statement's result: their types by their names. The column `key_mac` (see MAC) is left out."""
    try:
        prepared = await connection.raw.prepare(statement.variants[0].text)
    except Exception as error:
        raise translate(error, connection_lost=connection.is_closed()) from error
    return {each.name: each.type.name for each in prepared.get_attributes() if each.name != MAC}
