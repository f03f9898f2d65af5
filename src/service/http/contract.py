"""Contracts: the inputs and the answer of a handler, as its signature declares them. A contract is read only once.

    async def update(call: Call, body: Parsed[CampaignPatch], precondition: Precondition) -> Entity[Campaign]:

`body` is the JSON body, and `query` the query string. `precondition` is the If-Match header: a handler with this parameter
requires it. The return annotation is one of the classes of answers.py. The contract says how requests are parsed, and the
OpenAPI document is generated from it.
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
    """A handler's signature or docstring lacks something that a contract needs, or has a parameter that no contract has."""


@dataclass(frozen=True)
class Contract:
    """The inputs and the answer of a handler. `model` is the model of the rows in the answer, None if it contains none.

    `summary` is the first paragraph of the handler's docstring, `description` the rest.
    """

    body: type[BaseModel] | None
    query: type[BaseModel] | None
    has_precondition: bool
    answer: type[Answer]
    model: type[BaseModel] | None
    summary: str
    description: str


def read(handler: Callable[..., Any]) -> Contract:
    """Read the contract of a handler from its signature and docstring. Raises ContractError."""
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
