"""`quarry sql check` on a checkout whose SQL has defects: each is printed with its file, its line and what to change."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

DEFECTS = {
    "refused": ("niches.find", "SELECT id, name, icon", "SELECT id, nmae, icon", "nmae"),
    "may-be-null": ("campaigns.find", "SELECT id, name,", "SELECT id, nullif(name, '') AS name,", "name"),
    "several-rows": ("brands.restore", "AND id = :id", "AND bio = :id::text", "restore"),
    "order-not-total": ("otps.attempt", "n.created_at DESC, n.id DESC", "n.created_at DESC", "1"),
    "tenant-not-named": ("influencers.find", "WHERE l.tenant_id = :tenant_id\n           AND ", "WHERE ", "l"),
    "not-leakproof": ("campaigns.page", "starts_with(search_name, lower(:q))", "search_name LIKE :q", "search_name"),
    "privilege-missing": (
        "campaigns.restore",
        "SET deleted_at = NULL",
        "SET deleted_at = NULL, created_at = now()",
        "restore",
    ),
}
"""By the code that catches it: the statement, what stands there, what is planted, and what of it is underlined."""
BLOCK = (
    r"^(?P<file>\S+):(?P<line>\d+):(?P<column>\d+): error\[(?P<code>[a-z-]+)\]: (?P<subject>\S+): .*(?P<rest>(\n.+)*)"
)


def plant(checkout: Path, label: str, old: str, new: str) -> None:
    """Another text in one statement of a file."""
    aggregate, _, name = label.partition(".")
    path = checkout / "sql" / "queries" / f"{aggregate}.sql"
    before, head, after = path.read_text().partition(f"-- name: {name} :")
    body, following, others = after.partition("\n-- name: ")
    assert old in body
    path.write_text(before + head + body.replace(old, new, 1) + following + others)


def test_defects_of_every_class_are_printed_with_file_line_and_remedy(quarry: Any) -> None:
    checkout, command = quarry.copied()
    for label, old, new, _ in DEFECTS.values():
        plant(checkout, label, old, new)
    back = checkout / "sql/migrations/tenant/0012.trim-privileges.rollback.sql"
    back.write_text(back.read_text().replace("GRANT SELECT ON sessions TO quarry_app;\n", ""))
    with command.start("sql", "check", stdin=subprocess.PIPE) as process:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    assert re.fullmatch(
        r"quarry: \d+ findings in \d+ statements in \d+ variants, \d+ s\n  → each says what to change\n", err
    )
    found = {(match["code"], match["subject"]): match for match in re.finditer(BLOCK, out, re.MULTILINE)}
    for code, (label, _, _, marked) in DEFECTS.items():
        block = found[code, label]
        path = Path(block["file"])
        assert command.directory / path == checkout / "sql/queries" / f"{label.partition('.')[0]}.sql"
        line = (command.directory / path).read_text().split("\n")[int(block["line"]) - 1]
        assert line[int(block["column"]) - 1 :].startswith(marked)
        assert f" | {line}\n" in block["rest"]
        assert "\n  → " in block["rest"]
    [(code, _)] = [each for each in found if each[1] == "0012.trim-privileges"]
    assert code == "way-back-differs"
    assert found[code, "0012.trim-privileges"]["file"].endswith("0012.trim-privileges.rollback.sql")


def test_programs_read_the_same_of_the_statements_that_are_named(quarry: Any) -> None:
    checkout, command = quarry.copied()
    plant(checkout, *DEFECTS["several-rows"][:3])
    answer = command("sql", "check", "brands.restore", "--json")
    assert answer.status == 1
    [finding] = [each for each in json.loads(answer.out) if each["code"] == "several-rows"]
    assert (finding["level"], finding["subject"]) == ("error", "brands.restore")
    assert finding["file"] == str(checkout / "sql/queries/brands.sql")
    assert finding["remedy"]


def test_a_file_that_does_not_load_is_told_in_one_line(quarry: Any) -> None:
    checkout, command = quarry.copied()
    path = checkout / "sql/queries/niches.sql"
    path.write_text(path.read_text().replace("-- name: page :many\n", "-- name: find :many\n-- limits: none\n"))
    answer = command("sql", "check")
    line = path.read_text().split("\n").index("-- limits: none") + 1
    assert answer.status == 1
    assert answer.err.startswith(f"quarry: {path}:{line}: unknown header key 'limits'\n  → ")


def test_a_statement_that_nothing_has_is_told_before_anything_is_done(local: Any) -> None:
    answer = local("sql", "check", "campaigns.pages")
    assert (answer.status, answer.out) == (1, "")
    assert answer.err == "quarry: there is no statement 'campaigns.pages'\n  → did you mean 'campaigns.page'?\n"
