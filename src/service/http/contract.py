"""A contract describes the inputs and the answer of a handler (a function that serves a route). It is read once, when the route
is declared, from the handler's signature and docstring:

    async def update(call: Call, body: Parsed[CampaignPatch], precondition: Precondition) -> Entity[Campaign]:

The parameters after `call` are optional. `body` is the JSON body, and `query` the query string. `precondition` is the header
If-Match: if a handler has this parameter, a request without the header is refused. The return annotation is one of the classes
of answers.py. Requests are parsed as the contract says, and the OpenAPI document is generated from the contracts.
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
    """A handler has no docstring, or no Answer as return annotation, or a parameter other than body, query and precondition."""


@dataclass(frozen=True)
class Contract:
    """The inputs and the answer of a handler.

    `body` and `query` are the models of these inputs, None if the handler does not have them. `model` is the model that is named
    in the answer's brackets, such as Campaign in `Page[Campaign]`. `summary` is the first paragraph of the handler's docstring,
    `description` the rest.
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
