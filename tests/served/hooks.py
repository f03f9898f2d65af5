"""For schemathesis: ids of another tenant among the ids, and no trace of that tenant in any answer."""

from __future__ import annotations

import json
import os
from typing import Any
from uuid import UUID

import schemathesis

FOREIGN = json.loads(os.environ["QUARRY_FOREIGN"])
"""`ids` of the other tenant's rows, `markers` that stand in each of them and nowhere else, and fields of rows of one's `own`."""
_ID_LENGTH = 36


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: _mixed(value) for name, value in (path_parameters or {}).items()}


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """References to rows that are there, so that something is made of most bodies."""
    if not isinstance(body, dict):
        return body
    return {name: _mixed(value, FOREIGN["own"].get(name, value)) for name, value in body.items()}


@schemathesis.check
def no_foreign_row(ctx: Any, response: Any, case: Any) -> None:
    shown = response.text + str(response.headers)
    for marker in FOREIGN["markers"]:
        assert marker not in shown, f"a row of another tenant: {shown}"


def _mixed(value: Any, own: Any = None) -> Any:
    """One id in four becomes another tenant's; of the others those of a field with rows of one's own become one of them."""
    if isinstance(value, list):
        return [] if own == [] else value
    if not isinstance(value, str) or len(value) != _ID_LENGTH:
        return value
    try:
        number = UUID(value).int
    except ValueError:
        return value
    if number % 4 == 0:
        return FOREIGN["ids"][number // 4 % len(FOREIGN["ids"])]
    return own if own is not None else value
