"""The pages of the documentation that are made from the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
from docsite import pages
from properdocs.config import load_config
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

from arranging.documents import CHECKOUT
from service.api.routes import ENDPOINTS
from service.cli.commands import app
from service.http.answers import STATUS
from service.settings.settings import Settings


def test_every_setting_command_request_and_error_has_its_place() -> None:
    assert set(re.findall(r"\*\*`(\w+)`\*\*", pages.settings())) == {name.upper() for name in Settings.model_fields}
    groups = typer.main.get_command(app).commands
    paths = {
        path
        for name, each in groups.items()
        for path in (f"quarry {name} {sub}".strip() for sub in getattr(each, "commands", [""]))
    }
    assert paths <= set(re.findall(r"^### (.*)$", pages.commands(), re.MULTILINE))
    assert pages.requests().count("\n| `") == len(ENDPOINTS)
    assert set(re.findall(r"^\| `(\w+)`", pages.problems(), re.MULTILINE)) == STATUS.keys()


@pytest.mark.parametrize(
    ("text", "linked"),
    [
        ("see docs/api.md.", "see [docs/api.md](../api.md)."),
        ("in `sql/README.md`", "in [sql/README.md](../reference/sql.md)"),
        ("docs/nothing.md", "docs/nothing.md"),
        ("```\ndocs/api.md\n```", "```\ndocs/api.md\n```"),
    ],
)
def test_a_document_that_is_named_is_a_link_outside_of_blocks(text: str, linked: str) -> None:
    config = load_config(str(CHECKOUT / "properdocs.yml"))
    files = Files(
        [
            File(name, config.docs_dir, config.site_dir, use_directory_urls=False)
            for name in ("api.md", "reference/sql.md", "reference/page.md")
        ]
    )
    page = Page(None, files.documentation_pages()[-1], config)
    assert pages.on_page_markdown(text, page, config, files) == linked


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path: Path) -> None:
    for name in ("docs", "docsite", "sql"):
        shutil.copytree(CHECKOUT / name, tmp_path / name)
    for name in ("properdocs.yml", ".env.example", "CONTRIBUTING.md", "CHANGELOG.md"):
        shutil.copy(CHECKOUT / name, tmp_path / name)
    with (tmp_path / "docs" / "api.md").open("a", encoding="utf-8") as page:
        page.write("\nSee [nothing](operations.md#nothing-of-this-name).\n")
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    (command,) = re.findall(r"^docs:.*\n\t\$\(BIN\)/(properdocs .*)$", makefile, re.MULTILINE)
    program, *arguments = command.split()
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "operations.md#nothing-of-this-name" in done.stderr
