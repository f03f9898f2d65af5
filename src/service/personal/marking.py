"""The type `Personal`, which marks personal data in the signatures of repositories and in row models."""

from __future__ import annotations

import typing
from typing import Annotated, Any


class Sealed:
    """The marker in the metadata of `Personal`."""


Personal = Annotated[str, Sealed()]
"""Personal data: plain text in Python, sealed in the database. A parameter `email` of this type supplies two parameters of
the statement: `:email`, the sealed value, and `:email_index`, the blind index by which rows are found."""


def is_personal(annotation: Any) -> bool:
    """Whether a field or parameter of this type holds personal data."""
    if typing.get_origin(annotation) is Annotated:
        return any(isinstance(each, Sealed) for each in annotation.__metadata__)
    return any(is_personal(member) for member in typing.get_args(annotation))
