"""Brands and influencers as one thing, for the tests of what holds for both."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from arranging.accounts import NewTenant
from arranging.factories import Factory
from service.work import Work


class Profiles:
    """The factory and the repository of one kind."""

    def __init__(self, noun: str, new: Factory) -> None:
        self.noun, self.table, self.new = noun, f"{noun}s", new
        self.name = "brand_name" if noun == "brand" else "name"

    async def make(self, tenant: NewTenant, **values: Any) -> Any:
        return await getattr(self.new, self.noun)(tenant, **values)

    def of(self, work: Work) -> Any:
        return getattr(work, self.table)

    async def raw(self, work: Work, id: UUID, columns: str) -> Any:
        return await work.connection.fetchrow(f"SELECT {columns} FROM {self.table} WHERE id = $1", [id])
