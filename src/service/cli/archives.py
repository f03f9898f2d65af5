"""The commands `quarry tenants export`, `quarry tenants import` and `quarry tenants delete`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from service.cli.installation import installed
from service.cli.tenants import Domain, host_name
from service.cli.terminal import say, wait_for
from service.errors import OperatorError
from service.offboarding import erasure, exporting, importing

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def export(
    domain: Domain,
    file: Annotated[
        Path | None, typer.Argument(help="The file to write. Default: ./DOMAIN_export_YYYYMMDD_HHMMSS.tar.gz (UTC).")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write a tenant's data to an archive file, with personal data in plain text; prints the path of the file."""
    host = host_name(domain)
    path = file or Path(f"{host}_export_{datetime.now(UTC):%Y%m%d_%H%M%S}.tar.gz")
    if path.exists() and not force:
        raise OperatorError(f"{path} is there already", "give another name, or add --force to write over it")
    if not path.parent.is_dir():
        raise OperatorError(f"there is no folder {path.parent}", "make it first")
    with installed() as local:
        manifest = wait_for(exporting.export(local, host, path, say))
        rows = sum(table.rows for table in manifest.tables)
        say(f"quarry: {host} has been exported, {rows} rows; the file holds personal data in plain text")
        print(path)


def import_(
    file: Annotated[Path, typer.Argument(help="What `quarry tenants export` wrote.")],
    schema: Annotated[str | None, typer.Option(help="Keep its rows in a schema of its own, of this name.")] = None,
    with_niches: Annotated[
        bool, typer.Option("--with-niches", help="Make the niches of the archive that are not here, for all tenants.")
    ] = False,
) -> None:
    """Create a tenant from an archive, with the id and the rows that it had at the export; prints the tenant's id."""
    with installed() as local:
        manifest = wait_for(importing.restore(local, file, say, schema=schema, with_shared=with_niches))
        say(f"quarry: {manifest.domain} has been imported; its people sign in with the passwords that they had")
        print(manifest.tenant)


def delete(domain: Domain, yes: Yes = False) -> None:
    """Delete a tenant and all its data permanently; prints for each table how many rows were deleted and how many are left."""
    host = host_name(domain)
    with installed() as local:
        tenant = wait_for(erasure.erasable(local, host))
        if not yes:
            _confirm(host, tenant.name)
        found = wait_for(erasure.erase(local, tenant, say))
    for each in found:
        print(f"{each.table:30} {each.rows:>10} deleted {'?' if each.left is None else each.left:>6} left")
    if left := [each.table for each in found if each.left != 0]:
        raise OperatorError(f"{host} has been deleted, but not from {', '.join(left)}", "delete it there by hand")
    say(f"quarry: {host} has been deleted and nothing of it is left here; backups keep it until they expire")


def _confirm(host: str, name: str) -> None:
    if sys.stdin is None or not sys.stdin.isatty():
        raise OperatorError(
            f"this deletes {host} with everything that is theirs, and there is nobody to ask",
            "add --yes to do it unasked",
        )
    print(
        f"This deletes {host} ({name}) with everything that is theirs, for good. Type its domain to go on: ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    if sys.stdin.readline().strip() != host:
        raise OperatorError("nothing was done")
