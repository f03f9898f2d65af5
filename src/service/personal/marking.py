"""What marks personal data in a signature or a row model."""

from __future__ import annotations

import typing
from typing import Annotated, Any


class Sealed:
    """Marks personal data."""


Personal = Annotated[str, Sealed()]
"""Personal data: plain text here, sealed in the database. As a parameter `email` it supplies the statement's `:email`, the
sealed value, and `:email_index`, the blind index that finds it."""


def is_personal(annotation: Any) -> bool:
    """Whether a field or parameter of this type holds personal data."""
    if typing.get_origin(annotation) is Annotated:
        return any(isinstance(each, Sealed) for each in annotation.__metadata__)
    return any(is_personal(member) for member in typing.get_args(annotation))
