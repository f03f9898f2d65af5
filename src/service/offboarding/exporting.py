"""Export: writes a tenant's rows to an archive. The serving role reads them in batches, all in the same snapshot."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from service.accounts import tokens
from service.errors import OperatorError
from service.offboarding import access, archive
from service.offboarding.archive import Manifest, Spool
from service.offboarding.tables import MAC, NO_HASH, SEALED, call, columns, statements
from service.personal import keyring
from service.personal.keyring import Keyring, Undecipherable
from service.settings.settings import Settings
from service.statements.statement import Statement
from service.tenancy.binding import Binding
from service.tenancy.identity import TenantId
from service.texts import Say
from service.work import Work

_BATCH = 1000
"""How many rows are read at a time, and so are in memory. A row can have as many as 50,000 bytes."""


async def export(settings: Settings, domain: str, path: Path, say: Say) -> Manifest:
    """Write an archive of the tenant with this domain to `path`; a file that exists there is replaced. Raises OperatorError."""
    migrations = await access.applied_migrations(settings)
    with ExitStack() as files:
        spools: list[Spool] = []
        async with access.database(settings, "quarry_app", keyring.load(settings)) as database:
            async with Work(database, None, read_only=True) as work:
                entry = await work.tenants.find_by_domain(domain)
            if entry is None:
                raise access.unknown(domain)
            tenant = TenantId(entry.id)
            made_at = datetime.now(UTC)
            async with Work(database, tenant, read_only=True, isolation="repeatable read") as work:
                number = await work.log.head()
                for name, statement in statements("export").items():
                    types = await columns(work.connection, statement)
                    spool = Spool(name, types, path.parent)
                    files.enter_context(spool.file)
                    spools.append(spool)
                    await _fill(spool, work.binding, statement, types, say)
                    say(f"{name} {spool.rows} rows")
        manifest = Manifest(
            made_at=made_at, tenant=tenant, domain=domain, number=number,
            quarry=importlib.metadata.version("quarry"), migrations=migrations, tables=tuple(spool.table for spool in spools),
        )  # fmt: skip
        archive.write(path, manifest, spools)
        return manifest


async def _fill(spool: Spool, binding: Binding, statement: Statement, types: Mapping[str, str], say: Say) -> None:
    after: dict[str, object] = {}
    while True:
        text, values = call(statement, tenant_id=binding.tenant, limit=_BATCH, **after)
        records = await binding.connection.fetch(text, values)
        lines = [_line(record, spool.name, binding, types, say) for record in records]
        spool.add([line for line in lines if line is not None])
        if len(records) < _BATCH:
            return
        keys = statement.groups[statement.conditions[0]]
        after = {key: records[-1][key.removeprefix("after_")] for key in keys}


def _line(record: Any, table: str, binding: Binding, types: Mapping[str, str], say: Say) -> bytes | None:
    """A row as a line of the archive: a JSON object with personal data in plain text.

    Values of JSON columns are copied as the database returns them, so that numbers keep all their digits. For an API key without
    a valid MAC the result is None, and the row is left out: somebody has written or changed it by hand, and an import would
    make a valid MAC for it.
    """
    values = dict(record)
    if table == "api_keys":
        fields = tokens.key_fields(values["key_hash"], values["created_by"], values["role"])
        if not binding.verifies(values.pop(MAC), fields):
            say(f"quarry: api_keys {values['id']} is left out: somebody has written or changed it by hand")
            return None
    try:
        column = ""
        for column in SEALED.get(table, ()):
            if (sealed := values[column]) is not None:
                values[column] = binding.open(sealed, f"{table}.{column}", values["id"])
        if table == "users":
            column = "password_hash"
            is_planted = not Keyring.is_sealed_hash(values[column]) and not binding.accepts_earlier_forms
            if is_planted:
                say(f"quarry: users {values['id']} leaves without a password: it was written by hand")
            values[column] = NO_HASH if is_planted else binding.opened_hash(values[column], values["id"])
    except Undecipherable as error:
        raise OperatorError(
            f"{table}.{column} of the row {values['id']} can't be opened: {error.message}",
            "give all keys that the database's rows are sealed with in PII_KEYS",
        ) from error
    documents = {column: values.pop(column) for column, type_name in types.items() if type_name == "jsonb"}
    for column, value in values.items():
        if isinstance(value, bytes):
            values[column] = f"\\x{value.hex()}"
    line = to_json(values)
    for column, text in documents.items():
        line = b'%b,"%b":%b}' % (line[:-1], column.encode(), b"null" if text is None else text.encode())
    return line
