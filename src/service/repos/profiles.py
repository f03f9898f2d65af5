"""Profiles: a row model that the repositories of brands and influencers share."""

from __future__ import annotations

from uuid import UUID

from service.statements.rows import Row


class Verified(Row):
    """The id of a brand or influencer whose phone number has just been verified."""

    id: UUID
