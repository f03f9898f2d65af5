"""Writes type annotations as short text for reviewers: much as in Python source, but without the names of modules."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Literal

from pydantic import Json

from service.personal.marking import is_personal


def spelled(annotation: Any) -> str:
    """The text of an annotation, such as `UUID | None`, `list[str]`, `'draft' | 'active'` or `Personal`."""
    origin, members = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is None or annotation is type(None):
        return "None"
    if origin is Annotated:
        if is_personal(annotation):
            return "Personal"
        is_json = any(each is Json or type(each) is Json for each in annotation.__metadata__)
        return f"Json[{spelled(members[0])}]" if is_json else spelled(members[0])
    if origin is Literal:
        return " | ".join(repr(each) for each in members)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(spelled(each) for each in members)
    if origin is not None:
        return f"{getattr(origin, '__name__', origin)}[{', '.join(spelled(each) for each in members)}]"
    return str(getattr(annotation, "__name__", annotation))
