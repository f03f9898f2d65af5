"""The type `Personal`. Parameters of repository methods, and fields of row models, have this type if they are personal data."""

from __future__ import annotations

import typing
from typing import Annotated, Any


class Sealed:
    """The metadata by which the type `Personal` differs from `str`."""


Personal = Annotated[str, Sealed()]
"""Personal data: plain text in Python, sealed in the database. For a parameter `email` of this type, the SQL statement can use
two parameters: `:email`, the sealed value, and `:email_index`, the blind index, by which rows with this value are found."""


def is_personal(annotation: Any) -> bool:
    """Whether the type `annotation` is `Personal`, or contains it, such as `Personal | None`."""
    if typing.get_origin(annotation) is Annotated:
        return any(isinstance(each, Sealed) for each in annotation.__metadata__)
    return any(is_personal(member) for member in typing.get_args(annotation))
