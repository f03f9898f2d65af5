"""Reads which findings about migrations are accepted, and why. An acceptance that is not needed is itself a finding.

A new migration accepts a finding by the comment `-- accepts: <code> because <reason>`. A migration that may already be
applied somewhere ("landed") is never edited. Its accepted findings are listed in `sql/checks/accepted_migrations.txt`, as
`<migration>: <code>: <reason>`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from service.checks.findings import Finding, Span
from service.checks.migrations.scripts import Script

_LINE = re.compile(r"(?P<migration>[^\s:#]+):\s*(?P<code>[a-z-]+):\s*(?P<reason>\S.*)")
_COMMENT = re.compile(r"--\s*accepts:\s*(?P<code>[a-z-]+) because (?P<reason>\S.*)")
_NEEDLESS = "acceptance-unneeded"


@dataclass(frozen=True)
class Acceptance:
    """A line that accepts all findings with one code (`table-rewritten`) about a migration. Without a reason it accepts none."""

    migration: str
    code: str
    reason: str
    span: Span


def of_script(script: Script) -> Iterator[Acceptance]:
    """The acceptances in the comments of a migration's file."""
    for comment in script.comments:
        if re.match(r"--\s*accepts\b", comment.text):
            match = _COMMENT.fullmatch(comment.text.rstrip())
            code, reason = (match["code"], match["reason"]) if match else ("", "")
            yield Acceptance(script.id, code, reason, Span(script.path, comment.line + 1, 0, len(comment.text)))


def of_file(path: Path) -> list[Acceptance]:
    """The acceptances of landed migrations, from a file in the form of `sql/checks/accepted_migrations.txt`."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            match = _LINE.fullmatch(line.strip())
            named = (match["migration"], match["code"], match["reason"]) if match else ("", "", "")
            found.append(Acceptance(*named, Span(path, number, 0, len(line))))
    return found


def sorted_out(
    findings: Sequence[Finding], acceptances: Sequence[Acceptance], checked: Collection[str], known: Collection[str]
) -> tuple[list[Finding], list[tuple[Finding, str]]]:
    """The findings that are not accepted, and the accepted ones, each with its reason.

    An acceptance that accepts no finding is reported as a finding itself. But if its migration exists (is in `known`) and was
    not checked in this run (is not in `checked`), it is not reported.
    """
    reasons = {(each.migration, each.code): each.reason for each in acceptances if each.reason}
    accepted = [(each, reasons[each.subject, each.code]) for each in findings if (each.subject, each.code) in reasons]
    needed = {(each.subject, each.code) for each, _ in accepted}
    left = [each for each in findings if (each.subject, each.code) not in reasons]
    for each in acceptances:
        if not each.reason:
            left.append(_needless(each, "this line is not of the form that accepts anything."))
        elif each.migration not in known:
            left.append(_needless(each, f"there is no migration {each.migration}."))
        elif each.migration in checked and (each.migration, each.code) not in needed:
            left.append(_needless(each, f"{each.migration} has no finding {each.code}."))
    return left, accepted


def _needless(each: Acceptance, message: str) -> Finding:
    return Finding(
        _NEEDLESS,
        each.migration or each.span.path.stem,
        each.span,
        message,
        "every finding was compared with it.",
        "Remove the line, or write `-- accepts: <code> because <reason>` (in the list: `<migration>: <code>: <reason>`).",
    )
