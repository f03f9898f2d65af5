"""Profiles: what rows of brands and influencers have in common."""

from __future__ import annotations

from uuid import UUID

from service.statements.rows import Row


class Verified(Row):
    """A profile whose phone has been verified."""

    id: UUID
