"""The commands `quarry backup create|list|verify|restore`."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from service.backups import restoring, taking
from service.backups.directory import Directory, Entry
from service.backups.manifests import BackupError
from service.cli.installation import installed, settings
from service.cli.terminal import confirm, say, wait_for
from service.embedded.binaries import find_binaries
from service.embedded.errors import EmbeddedError
from service.errors import OperatorError
from service.settings.settings import Settings

Unsigned = Annotated[
    bool,
    typer.Option("--unsigned", help="Accept a backup not signed with the current keys; whoever wrote it is trusted."),
]

app = typer.Typer(help="Backups: create, list, verify, restore.", no_args_is_help=True)

_MAJORS = range(15, 20)
_UNITS = ("B", "kB", "MB", "GB", "TB")

In = Annotated[
    Path | None, typer.Option("--directory", help="Where backups are; BACKUP_DIRECTORY.", show_default=False)
]
Name = Annotated[str, typer.Argument(help="Its name in `quarry backup list`, or the path of its file.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command()
def create(
    directory: In = None,
    keep: Annotated[
        int | None,
        typer.Option(min=0, help="Newest backups of this database to keep; 0 keeps all. BACKUP_KEEP otherwise."),
    ] = None,
    compress: Annotated[
        str | None, typer.Option(help="As pg_dump takes it: 0 to 9, gzip:6, lz4, zstd:3, none.")
    ] = None,
    encrypt: Annotated[
        bool, typer.Option("--encrypt", help="With the first of PII_KEYS; reading it needs that key.")
    ] = False,
) -> None:
    """Write a backup of the database, as the role quarry_backup; prints the name of the backup."""
    taking.check_compression(compress)
    with installed() as local:
        place, started = _directory(local, directory), monotonic()
        backup = wait_for(taking.take(local, place, _places(), say, compress, encrypt=encrypt))
        manifest = backup.manifest
        say(
            f"quarry: {backup.path} has {manifest.rows} rows in {_size(manifest.size)}, {monotonic() - started:.1f} s;"
            " the keys of personal data (PII_KEYS, PII_INDEX_KEY) are not in it"
        )
        for name in place.prune(manifest.database, local.backup_keep if keep is None else keep):
            say(f"quarry: {name} has been deleted")
        print(manifest.name)


@app.command("list")
def list_(
    directory: In = None,
    check: Annotated[bool, typer.Option("--check", help="Read every backup and compare its checksum.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the backups, oldest first. With --check, the exit status is 1 if a backup is damaged or incomplete."""
    shown = [(entry, _state(entry, check=check)) for entry in _directory(settings(), directory).entries()]
    if as_json:
        print(json.dumps([_described(entry, state) for entry, state in shown], indent=2))
    else:
        for entry, state in shown:
            print(_line(entry, state))
    broken = [entry.name for entry, state in shown if state not in (None, "whole")]
    if check and broken:
        raise OperatorError(f"damaged: {', '.join(broken)}", "take a backup: `quarry backup create`")


@app.command()
def verify(name: Name, directory: In = None, unsigned: Unsigned = False) -> None:
    """Restore a backup into a new database, compare the restored tables with the manifest, and drop the new database.

    Unless the backup lacks migrations, the command also checks that the restored database isolates the tenants from each other.
    """
    with installed() as local:
        started = monotonic()
        backup = _directory(local, directory).find(name)
        wait_for(restoring.verify(local, backup, _places(), say, unsigned=unsigned))
        manifest = backup.manifest
        say(
            f"quarry: {manifest.name} is whole: {manifest.rows} rows in {len(manifest.tables)} tables"
            f" were restored, {monotonic() - started:.1f} s"
        )


@app.command()
def restore(  # noqa: PLR0917  its arguments are options
    name: Name,
    directory: In = None,
    into: Annotated[str | None, typer.Option(help="Restore to this database, not to DATABASE_MIGRATION_URL's.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    in_production: Annotated[
        bool, typer.Option("--in-production", help="Required in production, as a confirmation.")
    ] = False,
    unsigned: Unsigned = False,
) -> None:
    """Restore a backup as a new database, which replaces the present one. The latter is kept under a name that is printed."""
    loaded = settings()
    if loaded.environment == "production" and not in_production:
        raise OperatorError("`backup restore` is refused in production", "add --in-production if it is meant")
    with installed() as local:
        started = monotonic()
        backup = _directory(local, directory).find(name)
        target = wait_for(restoring.examine(local, backup, into, unsigned=unsigned))
        taken = f"{backup.manifest.taken_at:%Y-%m-%d %H:%M:%S} UTC"
        confirm(
            f"puts {backup.manifest.name}, taken at {taken}, in the place of the database {target.database}", yes=yes
        )
        done = wait_for(restoring.restore(local, backup, target, _places(), say))
        say(f"quarry: {done.database} is that of {taken}, in epoch {done.epoch}, {monotonic() - started:.1f} s")
        if done.kept is not None:
            say(f"quarry: what was there is kept as {done.kept}; drop it when nobody wants it any more")
            print(done.kept)


def _directory(local: Settings, given: Path | None) -> Directory:
    return Directory(given or local.backup_directory or local.quarry_home / "backups")


def _places() -> list[Path]:
    """The directories on this machine with PostgreSQL's programs, such as pg_dump; at most one for each major version."""
    found = []
    for major in _MAJORS:
        with suppress(EmbeddedError):
            found.append(find_binaries(major))
    return found


def _state(entry: Entry, *, check: bool) -> str | None:
    """The state of a backup: a message if it is damaged or incomplete; otherwise "whole" with `check`, None without.

    Damage inside the dump is found only with `check`, because this reads the whole dump.
    """
    if entry.backup is None or not check:
        return entry.problem
    try:
        entry.backup.check()
    except BackupError as error:
        return error.message
    return "whole"


def _described(entry: Entry, state: str | None) -> dict[str, object]:
    if entry.backup is None:
        return {"name": entry.name, "state": state}
    manifest = entry.backup.manifest
    return {**manifest.model_dump(mode="json"), "rows": manifest.rows, "state": state}


def _line(entry: Entry, state: str | None) -> str:
    if entry.backup is None:
        return f"{entry.name}  {state}"
    manifest = entry.backup.manifest
    line = (
        f"{entry.name}  {manifest.taken_at:%Y-%m-%d %H:%M:%S}  {_size(manifest.size):>10}"
        f"  PostgreSQL {manifest.server.split(' ')[0]:6}  {len(manifest.migrations):3} migrations"
    )
    return f"{line}  {state}" if state else line


def _size(count: float) -> str:
    """A number of bytes with a suitable unit, such as `1.2 MB`."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.1f} {_UNITS[unit]}" if unit else f"{count:.0f} B"
