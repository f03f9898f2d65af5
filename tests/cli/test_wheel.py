"""The wheel holds everything that the command needs, and finds it without the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.mark.soak
@pytest.mark.skipif(not os.environ.get("SOAK"), reason="SOAK=1 builds the wheel")
def test_wheel_holds_sql_and_seeds_and_finds_them(embedded: Any) -> None:
    target = embedded.directory / "wheel"
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target), str(CHECKOUT)]
    subprocess.run(build, check=True)
    with zipfile.ZipFile(next(target.glob("quarry-*.whl"))) as wheel:
        wheel.extractall(embedded.directory / "installed")
    for name in ("sql", "seeds"):
        inside = {
            path.relative_to(CHECKOUT) for path in (CHECKOUT / name).rglob("*.*") if "__pycache__" not in path.parts
        }
        assert [path for path in inside if not (embedded.directory / "installed" / "service" / path).exists()] == []
    shared = next((embedded.directory / "installed").glob("quarry-*.data")) / "data" / "share" / "quarry"
    for name in (".env.example", "docs/alerts.yml", "docs/troubleshooting.md"):
        assert (shared / name).read_bytes() == (CHECKOUT / name).read_bytes()
    installed = {"PYTHONPATH": str(embedded.directory / "installed")}
    assert embedded("migrate", "up", **installed).status == 0
    assert "24 rows" in embedded("seed", "run", **installed).err
    refused = embedded("migrate", "new", "add-notes", **installed)
    assert "belong to the installed package" in refused.err
