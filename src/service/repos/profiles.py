"""A row model that the repositories of brands and influencers have in common."""

from __future__ import annotations

from uuid import UUID

from service.statements.rows import Row


class Verified(Row):
    """A row of the result of `verify_phone`: the id of a brand or influencer whose phone number is now marked as verified."""

    id: UUID
