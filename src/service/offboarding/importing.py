"""Import: writes the rows of an archive to the database in one transaction, as the role quarry_owner. Rows keep their ids."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from service.accounts import tokens
from service.accounts.passwords import is_costly
from service.database.connection import row_count
from service.errors import Conflict, InvalidInput, OperatorError
from service.offboarding import access
from service.offboarding.archive import Archive, ArchiveError, Manifest, Table
from service.offboarding.tables import MAC, SEALED, call, columns, statements
from service.personal import keyring
from service.schema import own_schemas
from service.settings.settings import Settings
from service.tables import HISTORY, REFERRED_TO_BY, SHARED
from service.tenancy.binding import Binding
from service.tenancy.identity import TenantId
from service.texts import Say
from service.work import Work

_BATCH_ROWS = 10_000
"""How many rows one statement inserts. The number is large, because each statement also has to scan the log entries of all
earlier statements of the transaction.
"""
_BATCH_BYTES = 4 * 1024 * 1024


async def restore(
    settings: Settings, path: Path, say: Say, *, schema: str | None = None, with_shared: bool = False
) -> Manifest:
    """Create the tenant of the archive at `path`, with its original id and rows; in its own schema if `schema` names one.

    The archive also contains the niches that the tenant uses. If this database lacks some of them, they are created only if
    `with_shared` is true, because all tenants share the niches. If `with_shared` is false, the import fails.

    Raises OperatorError. No rows were written then, but the new schema may exist.
    """
    with Archive.open(path) as archive:
        manifest = archive.manifest
        _check_migrations(manifest, await access.applied_migrations(settings))
        tenant = TenantId(manifest.tenant)
        async with access.database(settings, "quarry_owner", keyring.load(settings)) as database:
            async with Work(database, tenant, read_only=True) as work:
                await _check_absence(manifest, work)
                await _check_columns(manifest, work)
            archive.verify()
            if schema is not None:
                await own_schemas.build(settings.address("quarry_owner"), settings.database_schema, schema, say)
            async with Work(database, tenant) as work:
                loading = _Loading(archive, work.binding, with_shared=with_shared)
                for table, lines in archive.tables():
                    if table.name not in HISTORY:
                        await loading.load(table, lines)
                        if table.name == "tenants" and schema is not None:
                            await loading.move_to(schema)
                        say(f"{table.name} {table.rows} rows")
                await loading.skip_numbers(manifest.number)
        return manifest


def _check_migrations(manifest: Manifest, applied: tuple[str, ...]) -> None:
    missing = sorted(set(manifest.migrations) - set(applied))
    if missing:
        raise ArchiveError(
            f"the archive was made with migrations that this database does not have: {', '.join(missing)}",
            f"run `quarry migrate up`; the archive is of Quarry {manifest.quarry}",
        )


async def _check_absence(manifest: Manifest, work: Work) -> None:
    row = await work.connection.fetchrow(
        *call(statements("import")["taken"], tenant_id=manifest.tenant, domain=manifest.domain)
    )
    if row is not None:
        same = "this tenant" if row["id"] == manifest.tenant else "another tenant with this domain"
        raise OperatorError(f"{same} is here: {row['domain']}, {row['id']}", "an import never changes a tenant")


async def _check_columns(manifest: Manifest, work: Work) -> None:
    """Raise ArchiveError unless the archive has the tables and columns that an export from this database would have."""
    here = {name: await columns(work.connection, each) for name, each in statements("export").items()}
    if [table.name for table in manifest.tables] != list(here):
        raise _of_another_version(manifest, "tables")
    for table in manifest.tables:
        if set(table.columns) != here[table.name].keys():
            raise _of_another_version(manifest, f"columns in {table.name}")


def _of_another_version(manifest: Manifest, what: str) -> ArchiveError:
    return ArchiveError(
        f"the archive has other {what} than this database",
        f"import it with Quarry {manifest.quarry} and migrate that database",
    )


class _Loading:
    """The writing part of an import: its methods run inside one transaction, which is bound to the new tenant."""

    def __init__(self, archive: Archive, binding: Binding, *, with_shared: bool) -> None:
        self._archive, self._binding, self._with_shared = archive, binding, with_shared
        self._statements = statements("import")
        self._ids: dict[str, dict[str, str]] = {}
        """For each column that refers to shared rows (niches): the row's id in this database by its id in the archive."""

    async def load(self, table: Table, lines: Iterator[bytes]) -> None:
        for batch in _batches(self._row(table, *each) for each in enumerate(lines, 1)):
            rows = f"[{','.join(batch)}]"
            try:
                if table.name in SHARED:
                    await self._map_shared(table.name, rows)
                elif await self._execute(table.name, rows=rows) != len(batch):
                    raise ArchiveError(f"{table.name}.jsonl is not of the tenant that the manifest names")
            except (Conflict, InvalidInput) as error:
                details = "; ".join(f"{each.field}: {each.message}" for each in error.errors)
                raise ArchiveError(
                    f"{table.name}.jsonl: the database refuses a row: {error.message} {details}".strip(),
                    "nothing was imported",
                ) from error

    async def move_to(self, schema: str) -> None:
        """Record `schema` as the tenant's own schema. The following rows of the tenant are written to this schema."""
        await self._execute("schemas", schema_name=schema)
        await self._execute("enter")

    async def skip_numbers(self, number: int) -> None:
        """Raise the counter of the tenant's commits above `number`, the last one in the archive.

        So the commit of the import gets a number that this tenant has never used.
        """
        await self._execute("heads", number=number)

    async def _map_shared(self, table: str, rows: str) -> None:
        if self._with_shared:
            await self._execute(f"new_{table}", rows=rows)
        elif missing := await self._binding.connection.fetch(*call(self._statements[f"missing_{table}"], rows=rows)):
            raise OperatorError(
                f"{table} of the archive are not here: {', '.join(row['name'] for row in missing)}",
                f"all tenants share them; add --with-{table} to make them, or make them first",
            )
        found = await self._binding.connection.fetch(*call(self._statements[table], rows=rows))
        ids = self._ids.setdefault(REFERRED_TO_BY[table], {})
        ids |= {str(row["archived_id"]): str(row["id"]) for row in found}

    async def _execute(self, name: str, **given: object) -> int:
        text, values = call(self._statements[name], tenant_id=self._binding.tenant, **given)
        return row_count(await self._binding.connection.execute(text, values))

    def _row(self, table: Table, number: int, line: bytes) -> str:
        """Convert a line of the archive to the JSON object that the import's SQL statement expects.

        Personal data is sealed with the keys of this installation. Ids of shared rows are replaced by their ids in this database.
        """
        try:
            row = json.loads(line)
            if table.name == "tenants" and isinstance(row, dict) and row.get("domain") != self._archive.manifest.domain:
                raise self._archive.error(table, number, "the domain is not the one that the manifest names")
            if table.name == "users" and isinstance(row, dict) and is_costly(str(row.get("password_hash"))):
                raise self._archive.error(table, number, "the password's hash would cost too much to compare")
            if not isinstance(row, dict) or row.keys() != set(table.columns):
                raise self._archive.error(table, number, "it has other keys than its manifest says")
            changes = self._changes(table.name, row)
            # If nothing has to be changed, return the text of the archive as it is, so that numbers keep all their digits.
            return json.dumps(row | changes) if changes else line.decode()
        except (ValueError, RecursionError, AttributeError, TypeError) as error:
            raise self._archive.error(table, number, "it can't be read") from error
        except KeyError as error:
            raise self._archive.error(
                table, number, f"it refers to {error}, which the archive does not have"
            ) from error

    def _changes(self, table: str, row: Mapping[str, Any]) -> dict[str, str]:
        changes = {}
        if table == "users":
            if not isinstance(row["password_hash"], str):
                raise TypeError
            changes["password_hash"] = self._binding.seal_hash(row["password_hash"], UUID(row["id"]))
        if table == "api_keys":
            hashed = bytes.fromhex(row["key_hash"].removeprefix("\\x"))
            fields = tokens.key_fields(hashed, UUID(row["created_by"]), row["role"])
            changes[MAC] = f"\\x{self._binding.mac(fields).hex()}"
        for column in SEALED.get(table, ()):
            if (plain := row[column]) is not None:
                sealed = self._binding.seal(plain, f"{table}.{column}", UUID(row["id"]))
                changes[column] = f"\\x{sealed.hex()}"
                # Add a blind index even for a column that has none: the SQL statement ignores it there.
                changes[f"{column}_index"] = f"\\x{self._binding.index(plain, f'{table}.{column}').hex()}"
        for column in REFERRED_TO_BY.values():
            if row.get(column) is not None:
                changes[column] = self._ids.get(column, {})[row[column]]
        return changes


def _batches(rows: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += len(row)
        if len(batch) == _BATCH_ROWS or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
