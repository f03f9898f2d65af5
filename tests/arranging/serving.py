"""The service as it is run: `quarry serve` as a process, with all that it says kept in a file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from service.settings.settings import Settings

_SECRETS = ("database_url", "database_migration_url", "database_platform_url", "pii_keys", "pii_index_key")
_PATIENCE = 60.0


@dataclass(frozen=True)
class Service:
    """A running service: its address, its process, and the file of its log."""

    url: str
    pid: int
    log: Path

    def resident(self) -> int:
        """Bytes of memory that the process holds now."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]


@contextmanager
def serving(settings: Settings, directory: Path, **variables: str) -> Iterator[Service]:
    """`quarry serve` on a free port; limits are off unless asked for. It ends with the block, and must end well."""
    secrets = {name.upper(): getattr(settings, name).get_secret_value() for name in _SECRETS}
    limits = {name.upper(): "off" for name in Settings.model_fields if name.startswith("rate_limit_")}
    environment = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", "ENVIRONMENT": "development", **secrets, **limits}
    log = directory / "service.log"
    with (
        log.open("w") as sink,
        subprocess.Popen(
            [sys.executable, "-m", "service", "serve", "--port", "0"], cwd=directory,
            env={**environment, **variables}, stderr=sink, stdin=subprocess.DEVNULL,
        ) as process,
    ):  # fmt: skip
        try:
            yield Service(_address(process, log), process.pid, log)
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            finally:
                process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE
    while not (match := re.search(r"serving on (http://[\w.:]+)", log.read_text())):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
    return match[1]
