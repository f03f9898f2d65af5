"""Row models: frozen, with exactly the columns of their statement."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from service.personal.marking import Sealed, is_personal


class Row(BaseModel):
    """A row that a statement returns: frozen, with exactly the columns that are declared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    personal: ClassVar[frozenset[str]] = frozenset()
    """The fields that hold personal data. The repr of a row, and so a log entry, shows `***` for their values."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.personal = frozenset(
            name
            for name, field in cls.model_fields.items()
            if is_personal(field.annotation) or any(isinstance(each, Sealed) for each in field.metadata)
        )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, "***" if name in self.personal else value
