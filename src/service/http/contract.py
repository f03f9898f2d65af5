"""A handler's signature is its contract: its inputs and its answer. It is read once, when the endpoint is declared.

    async def update(call: Call, body: Parsed[CampaignPatch], precondition: Precondition) -> Entity[Campaign]:

`body` is the JSON body, `query` the query string, and `precondition` the If-Match header, which is then required. The return
annotation is one of the classes of answers.py. Requests are parsed, and the OpenAPI document is generated, from the signature.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from service.http.answers import Answer
from service.http.inputs import Parsed
from service.http.preconditions import Precondition

_INPUTS = ("body", "query")


class ContractError(TypeError):
    """A handler's signature can't be read as a contract."""


@dataclass(frozen=True)
class Contract:
    """The inputs and the answer of a handler; `summary` is the first paragraph of its docstring, `description` the rest."""

    body: type[BaseModel] | None
    query: type[BaseModel] | None
    has_precondition: bool
    answer: type[Answer]
    model: type[BaseModel] | None
    summary: str
    description: str


def read(handler: Callable[..., Any]) -> Contract:
    """The contract of a handler. Raises ContractError."""
    name = f"{handler.__module__}.{handler.__qualname__}"
    hints = typing.get_type_hints(handler)
    names = list(inspect.signature(handler).parameters)[1:]
    inputs: dict[str, type[BaseModel]] = {}
    for parameter in names:
        hint = hints[parameter]
        if parameter in _INPUTS and typing.get_origin(hint) is Parsed:
            inputs[parameter] = typing.get_args(hint)[0]
        elif (parameter, hint) != ("precondition", Precondition):
            raise ContractError(f"{name}: '{parameter}' is none of body, query and precondition")
    answer = hints.get("return")
    kind = typing.get_origin(answer) or answer
    if not (isinstance(kind, type) and issubclass(kind, Answer)):
        raise ContractError(f"{name} does not say which Answer it gives")
    sentences = inspect.cleandoc(handler.__doc__ or "")
    if not sentences:
        raise ContractError(f"{name} has no sentence that says what it does")
    summary, _, description = sentences.partition("\n\n")
    return Contract(
        body=inputs.get("body"),
        query=inputs.get("query"),
        has_precondition="precondition" in names,
        answer=kind,
        model=next(iter(typing.get_args(answer)), None),
        summary=" ".join(summary.split()),
        description=" ".join(description.split()),
    )
