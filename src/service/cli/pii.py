"""The commands `quarry pii …`, about personal data and the keys that it is encrypted with."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Annotated, Any

import typer

from service.backups import contents
from service.cli.installation import database, installed
from service.cli.migrate import tenants_listed, waiting
from service.cli.terminal import confirm, first_few, say, wait_for
from service.errors import OperatorError
from service.operations import rotation
from service.operations.rotation import RotationReport
from service.personal import keyring
from service.personal.keyring import Keyring
from service.settings.settings import Settings
from service.tenancy.identity import TenantId

_MOST_TOLD = 50
_OLD = "QUARRY_OLD_INDEX_KEY"
_INSTANCES = """
SELECT pid, usename, application_name
  FROM pg_stat_activity
 WHERE datname = current_database()
   AND (usename = 'quarry_app' OR application_name = 'quarry')
   AND pid <> pg_backend_pid()
 ORDER BY pid
"""

app = typer.Typer(help="Personal data: rotate, rotate-index, seal, spelling, key.", no_args_is_help=True)


@app.command()
def rotate(
    new_key: Annotated[
        bool,
        typer.Option("--new-key", help="First put a new key in front in QUARRY_HOME. Stop the service before."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the number of rows of each kind as JSON.")] = False,
) -> None:
    """Encrypt personal data and password hashes again with the first key in PII_KEYS.

    Sessions and API keys without a MAC get one if PII_KEYS has a key of an earlier release; otherwise they are only reported.
    The service may run meanwhile, unless --new-key is given. If the command is killed, run it again.
    """
    with installed() as local:
        report = wait_for(_rotate(local, new_key=new_key))
    _tell(report)
    if as_json:
        print(json.dumps(report.counts, indent=2))
    if report.failures:
        raise OperatorError(
            f"{len(report.failures)} could not be sealed again and are as they were",
            "give the keys that they were sealed with too, or settle what the message says; then start this again",
        )


@app.command()
def seal(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Encrypt personal data that the database still has as plain text, for example after `yoyo` has applied a migration.

    Look at this plain text first: anybody who can write to the database may have put it there.
    """
    with installed() as local:
        tenants = wait_for(waiting(local))
        if tenants:
            confirm(f"seals the plain text that waits in {tenants_listed(tenants)}, whoever has put it there", yes=yes)
        report = wait_for(_seal(local, tenants))
    _tell(report)
    if report.failures:
        raise OperatorError(
            f"{len(report.failures)} could not be sealed and are as they were",
            "settle what the message says, then start this again",
        )


@app.command("rotate-index")
def rotate_index() -> None:
    """Replace the index key: recompute the blind indexes, and the MACs of sessions and API keys, with a new PII_INDEX_KEY.

    Set PII_INDEX_KEY to the new key and QUARRY_OLD_INDEX_KEY to the key used so far. Stop all instances first. If the command
    is killed, run it again with the same two keys.
    """
    with installed() as local:
        keys, given = keyring.load(local), os.environ.get(_OLD, "")
        if not given:
            raise OperatorError("the old index key is not given", f"set {_OLD} to it, and PII_INDEX_KEY to the new one")
        old = replace(keys, index_key=keyring.index_key(given, _OLD))
        if old.check == keys.check:
            raise OperatorError(
                f"PII_INDEX_KEY and {_OLD} are the same key",
                "set PII_INDEX_KEY to a new one (`quarry pii key --index`); PII_KEYS are then given too",
            )
        report = wait_for(_rotate_index(local, keys, old))
    _tell(report)
    if report.failures:
        raise OperatorError(
            f"{len(report.failures)} rows could not be changed, all others are under the new key: no instance starts now",
            f"settle what the message says and run this again; or go back: exchange PII_INDEX_KEY and {_OLD} and run it",
        )
    say("quarry: PII_INDEX_KEY is the index key of this database now; start the instances with it")


async def _rotate_index(local: Settings, keys: Keyring, old: Keyring) -> RotationReport:
    """Recompute blind indexes and MACs: they were made with the index key of `old`, and are now made with that of `keys`.

    Meanwhile the database stores the XOR of the two keys' check values, instead of the check value of its key. This value
    matches neither key, so no instance starts, and an interrupted run can be continued only with the same two keys.
    """
    begun = bytes(a ^ b for a, b in zip(keys.check, old.check, strict=True))
    async with contents.connected(local.address("quarry_owner")) as owner:
        check = await owner.fetchval("SELECT keys_check FROM app.installation")
        if check == keys.check:
            raise OperatorError("PII_INDEX_KEY is this database's index key already", "start the instances with it")
        if check not in (None, old.check, begun):
            raise OperatorError(
                f"{_OLD} is not the index key of this database",
                "set it to the PII_INDEX_KEY that the instances had until now; where a run was killed, give the same two again",
            )
        await _require_no_instance(owner, "they know another index key")
        await owner.execute("UPDATE app.installation SET keys_check = $1", begun)
        async with database(local, "quarry_platform") as platform, database(local, claim=False) as opened:
            report = await rotation.reindex(opened, platform, old, say)
        await _require_no_instance(owner, "one was started meanwhile; then start this again")
        if not report.failures:
            await owner.execute("UPDATE app.installation SET keys_check = $1", keys.check)
    return report


@app.command()
def spelling(
    write: Annotated[bool, typer.Option("--write", help="Change them; otherwise they are only counted.")] = False,
) -> None:
    """Find email addresses that look-ups do not find, because they are stored in a different spelling.

    Look-ups use lower case and Unicode's composed form (NFC), with the domain in ASCII (xn--…).
    """
    with installed() as local:
        report = wait_for(_spelling(local, write=write))
    _tell_failures(report)
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items() if count) or "none"
    say(f"quarry: spelled otherwise: {counts}" + ("; changed" if write else ""))
    if report.failures:
        raise OperatorError(
            f"{len(report.failures)} could not be changed and are as they were",
            "settle what the message says (where an address is taken, two rows are one person's), then start this again",
        )
    if not write and any(report.counts.values()):
        raise OperatorError("addresses are spelled otherwise than they are looked for", "add --write to change them")


@app.command()
def key(index: Annotated[bool, typer.Option("--index", help="One for PII_INDEX_KEY.")] = False) -> None:
    """Print a new key for PII_KEYS or, with --index, for PII_INDEX_KEY.

    The first key in PII_KEYS encrypts new values. Each key in PII_KEYS decrypts the values that were encrypted with it.
    """
    print(keyring.fresh_index_key() if index else keyring.fresh_key())


def _tell(report: RotationReport) -> None:
    _tell_failures(report)
    say(f"quarry: {report}")


def _tell_failures(report: RotationReport) -> None:
    for line in first_few(report.failures + report.unauthentic, _MOST_TOLD):
        say(f"quarry: {line}")


async def _require_no_instance(owner: Any, why: str) -> None:
    if found := await owner.fetch(_INSTANCES):
        who = ", ".join(f"{pid} ({role}{f', {name}' if name else ''})" for pid, role, name in found[:5])
        raise OperatorError(f"instances are connected: {who}", f"stop them: {why}")


async def _rotate(local: Settings, *, new_key: bool) -> RotationReport:
    if new_key:
        async with contents.connected(local.address("quarry_owner")) as owner:
            await _require_no_instance(owner, "they do not know the new key")
    async with database(local, "quarry_platform") as platform:
        if new_key:
            # Open the database before a new key is added: this raises OperatorError if the index key is not that of the database.
            async with database(local):
                _put_new_key(local)
        async with database(local) as opened:
            return await rotation.rotate(opened, platform, say)


async def _seal(local: Settings, tenants: list[TenantId]) -> RotationReport:
    async with database(local) as opened:
        return await rotation.seal(opened, tenants, say)


async def _spelling(local: Settings, *, write: bool) -> RotationReport:
    async with database(local, "quarry_platform") as platform, database(local) as opened:
        return await rotation.normalise(opened, platform, say, write=write)


def _put_new_key(local: Settings) -> None:
    keyring.load(local)  # creates the key file if there is none
    fresh = keyring.fresh_key()
    if not keyring.prepend(local, fresh):
        raise OperatorError(
            "the keys are given in PII_KEYS, and not kept in QUARRY_HOME",
            "put what `quarry pii key` prints in front there, restart the service, and run this without --new-key",
        )
    say(f"quarry: the key {fresh.partition(':')[0]} seals from now on")
