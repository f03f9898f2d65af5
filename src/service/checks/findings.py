"""The findings of the checks, and their printed form, which looks like the errors of a compiler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Span:
    """A piece of a file: a line (from 1), its first column (from 0), and how many characters of that line."""

    path: Path
    line: int
    column: int = 0
    length: int = 0


@dataclass(frozen=True)
class Finding:
    """A rule that a statement or migration breaks: where it breaks it, what was proved instead, and what to change.

    `code` names the rule (`tenant-not-named`), `subject` the statement or migration. With `is_note` the finding is only a
    remark and does not make the check fail.
    """

    code: str
    subject: str
    span: Span
    message: str
    proved: str = ""
    remedy: str = ""
    is_note: bool = False

    @property
    def as_json(self) -> Mapping[str, object]:
        """The finding as an object for JSON output."""
        return {
            "code": self.code,
            "level": "note" if self.is_note else "error",
            "subject": self.subject,
            "file": str(self.span.path),
            "line": self.span.line,
            "column": self.span.column + 1,
            "length": self.span.length,
            "message": self.message,
            "proved": self.proved,
            "remedy": self.remedy,
        }


def printed(findings: Iterable[Finding]) -> Iterator[str]:
    """Each finding as a block of lines, in the order of files and lines."""
    for finding in sorted(findings, key=lambda each: (each.span.path, each.span.line, each.span.column, each.code)):
        yield "\n".join(_block(finding))


def _block(finding: Finding) -> Iterator[str]:
    span = finding.span
    level = "note" if finding.is_note else "error"
    yield f"{_relative(span.path)}:{span.line}:{span.column + 1}: {level}[{finding.code}]: {finding.subject}: {finding.message}"
    text = _line(span)
    if text:
        margin = f"{span.line:>5} | "
        yield f"{margin}{text}"
        if span.length:
            yield " " * (len(margin) - 2) + "| " + " " * span.column + "^" * span.length
    if finding.proved:
        yield f"  proved: {finding.proved}"
    if finding.remedy:
        yield f"  → {finding.remedy}"


def _relative(path: Path) -> Path:
    """The path relative to the current directory if the file is inside it; otherwise the path as it is."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _line(span: Span) -> str:
    try:
        return span.path.read_text(encoding="utf-8").split("\n")[span.line - 1]
    except (OSError, IndexError):
        return ""
