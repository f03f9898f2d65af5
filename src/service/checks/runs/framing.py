"""Compares the text that is sent for a read as one message with the statement itself: both must return the same.

The proofs are about the statement. That they hold for its frame too is shown by runs, with keys of the tenant's own rows and of
another tenant's. The frame of these runs has no bearer and no commit numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from service.checks.proving import Proved, Subject
from service.checks.runs.trials import Outcome, Trials
from service.statements import frames


async def compare(trials: Trials, subject: Subject, proved: Proved, values: Sequence[object], outcome: Outcome) -> None:
    """Run a variant again in its frame: as JSON if PostgreSQL can render its rows, else as rows.

    `outcome` is that of the statement itself, with the same values.
    """
    entry = subject.entry
    if proved.key not in subject.framed:
        return
    form = frames.form_of(entry.statement, entry.model)
    frame = frames.frame(entry.statement.variants[proved.key], form, model=entry.model)
    framed = await trials.run_framed(subject, frame, values)
    expected: Any = outcome.rows
    if form == "json" and entry.model is not None and not outcome.failure:
        model = entry.model
        made = (model.model_validate(dict(zip(outcome.columns, row, strict=True))) for row in outcome.rows)
        expected = tuple((each.model_dump_json(),) for each in made)
    if (framed.failure, framed.rows) != (outcome.failure, expected):
        if await trials.run(subject, proved, values) != outcome:
            return  # It returns something else each time.
        shown = framed.failure and f"SQLSTATE {framed.failure}: {framed.message}"
        subject.say(
            "framed-differs", f"sent as one message, as {form}, it returns something else than by itself",
            proved=shown or f"{len(framed.rows)} rows against {len(outcome.rows)}, run with the same values",
            remedy="write it otherwise: in the frame it is a subquery, see sql/templates/",
        )  # fmt: skip
