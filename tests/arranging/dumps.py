"""The catalog of a migrated database as text, for comparing and for reading."""

from __future__ import annotations

import re
import subprocess

from service.embedded.server import Server

_BOOKKEEPING = ("_yoyo*", "yoyo_lock", "_migration_checksums")
_NOISE = re.compile(
    r"^(SET [^;]*;|SELECT pg_catalog\.set_config[^;]*;|\\(un)?restrict.*|--.*)\n", re.MULTILINE
)  # pg_dump's settings and headings


def schema(server: Server, database: str, *names: str) -> str:
    """What pg_dump says of the schemas (app and quarry), without its settings and headings, owners and yoyo's tables."""
    command = [
        server.binaries / "pg_dump", "--schema-only", "--no-owner",
        *(f"--schema={name}" for name in names or ("app", "quarry")),
        *(f"--exclude-table=*.{name}" for name in _BOOKKEEPING), server.url(database=database),
    ]  # fmt: skip
    dumped = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    bodies = re.split(r"(AS \$\$.*?\$\$;|AS \$_\$.*?\$_\$;)", dumped, flags=re.DOTALL)
    # The bodies of functions stay as they are.
    bodies[::2] = [re.sub(r"\n{2,}", "\n\n", _NOISE.sub("", part)) for part in bodies[::2]]
    return _sorted_grants("".join(bodies).strip() + "\n")


def _sorted_grants(dumped: str) -> str:
    """Which privilege on an object was given first means nothing."""
    blocks = dumped.strip().split("\n\n")
    return "\n\n".join(_sorted(block) if block.startswith("GRANT ") else block for block in blocks) + "\n"


def _sorted(block: str) -> str:
    return "\n".join(sorted(block.split("\n")))


def content(server: Server, database: str) -> str:
    """Everything that a plain pg_dump writes."""
    command = [server.binaries / "pg_dump", server.url(database=database)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
