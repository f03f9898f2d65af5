"""Exceptions in the header of a statement that no check needed."""

from __future__ import annotations

from service.checks import spans
from service.checks.proving import Subject


def check(subject: Subject) -> None:
    """Report exceptions in the header that no check needed. Call this after all other checks of the statement."""
    for note in subject.unneeded() if subject.proved else ():
        about = f"{note.key}: {note.subject}" if note.subject else note.key
        subject.say(
            "note-unneeded", f"'-- {about}' is an exception that nothing needs",
            span=spans.of_line(subject.entry.statement, note.line), remedy="take it away",
        )  # fmt: skip
