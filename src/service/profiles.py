"""A profile is a brand or an influencer. This module handles what both have: niches, and a phone number to be verified."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from uuid import UUID, uuid4

from service.accounts import one_time_codes
from service.errors import FieldError, MissingReference
from service.statements.outcomes import changed_row
from service.work import Work

P_co = TypeVar("P_co", covariant=True)


class Profiles(Protocol[P_co]):
    """The methods that the repositories of brands and of influencers have in common."""

    @property
    def create(self) -> Callable[..., Awaitable[P_co]]: ...
    @property
    def find(self) -> Callable[[UUID], Awaitable[P_co]]: ...
    @property
    def update(self) -> Callable[..., Awaitable[Any]]: ...
    @property
    def replace_niches(self) -> Callable[[UUID, list[UUID]], Awaitable[int]]: ...


async def create_profile(profiles: Profiles[P_co], fields: dict[str, Any]) -> P_co:
    """Create a brand or an influencer with its niches. Raises Conflict, or MissingReference if a niche does not exist."""
    with _naming_niches():
        return await profiles.create(id=uuid4(), **fields)


async def change_profile(profiles: Profiles[P_co], id: UUID, version: int | None, fields: dict[str, Any]) -> P_co:
    """Change the `fields` of a brand or influencer. If `fields` contains `niche_ids`, these niches replace the current ones.

    Raises StaleVersion if `version` is not None and not the row's version, MissingReference if a niche does not exist, NotFound
    and Conflict.
    """
    niche_ids = fields.pop("niche_ids", None)
    changed: P_co = changed_row(await profiles.update(id, version=version, given=list(fields), **fields))
    if niche_ids is None:
        return changed
    with _naming_niches():
        await profiles.replace_niches(id, niche_ids)
    return await profiles.find(id)


@contextlib.contextmanager
def _naming_niches() -> Iterator[None]:
    """If a niche does not exist, report an error in the field `niche_ids` of the request, instead of in the column `niche_id`."""
    try:
        yield
    except MissingReference as error:
        raise MissingReference(errors=(FieldError("niche_ids", "There is no such niche."),)) from error


@dataclass(frozen=True)
class Verification:
    """The ids of the brands and influencers whose phone number has just been verified."""

    brands: list[UUID]
    influencers: list[UUID]


async def verify_phone(work: Work, phone: str, code: str) -> Verification | None:
    """Compare `code` with the newest one-time code for `phone`, and count the attempt. Returns None if it is not accepted.

    It is not accepted if it is wrong, expired, already used, or after too many attempts. Otherwise the phone number is marked
    as verified in all profiles of the tenant that have this number, and the ids of these profiles are returned.
    """
    attempt = await work.otps.attempt(phone=phone, code=code, attempts=one_time_codes.ATTEMPTS)
    if attempt is None or not attempt.is_right:
        return None
    brands = await work.brands.verify_phone(phone)
    influencers = await work.influencers.verify_phone(phone)
    return Verification([row.id for row in brands], [row.id for row in influencers])
