"""The base class of row models. A row model is the pydantic model of the rows that a statement returns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from service.personal.marking import Sealed, is_personal


class Row(BaseModel):
    """A row that a statement returns. It can't be changed. Its fields are the columns; a column without a field is an error."""

    # pydantic can check asyncpg's types, such as Range and BitString, only with isinstance.
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    personal: ClassVar[frozenset[str]] = frozenset()
    """The names of the fields that hold personal data. The repr of a row shows `***` for their values, and so does the log."""

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
