"""Checks that reads which are planned once for all values do not need a plan for the values of each call."""

from __future__ import annotations

from service.checks.proving import Proved, Subject
from service.statements import frames

_PATTERN_FUNCTIONS = frozenset({
    "starts_with", "textlike", "texticlike", "textregexeq", "texticregexeq",
    "bpcharlike", "bpchariclike", "bpcharregexeq", "bpcharicregexeq",
})  # fmt: skip
"""The functions of starts_with(), LIKE, ILIKE and `~`. An index serves them only if the planner knows the pattern."""


def check(subject: Subject) -> None:
    """Report optional lines that compare with a pattern, unless the header says `-- planned:`."""
    statement = subject.entry.statement
    if not frames.is_read(statement) or 0 not in subject.proved:
        return
    always = _functions(subject.proved[0])
    if always:
        # A pattern that is always given may be one that no index could serve, so it is left to the author.
        for name in statement.parameters:
            subject.note("planned", name)
    for name in statement.conditions:
        proved = subject.proved.get(statement.key([name]))
        found = set() if proved is None else _functions(proved) - always
        if found and not subject.note("planned", name):
            subject.say(
                "pattern-unplanned", f"the pattern in :{name} is not known when the read is planned",
                proved=f"{', '.join(sorted(found))}(): a read is planned once for all values, so no index serves it",
                remedy=f"write '-- planned: {name} because …', so that it is planned for the values of each call; and see that"
                " an index of text_pattern_ops serves it",
            )  # fmt: skip


def _functions(proved: Proved) -> set[str]:
    return {each.function.name for query in proved.run for each in query.callees} & _PATTERN_FUNCTIONS
