"""Handlers of /v1/otps: one-time codes, by which the phone numbers of brands and influencers are verified."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import structlog
from pydantic import BaseModel, StringConstraints

from service.accounts import one_time_codes
from service.api.call import Call
from service.api.fields import Phone
from service.errors import InvalidInput, Unavailable
from service.http import answers
from service.http.answers import Accepted, Entity
from service.http.inputs import Body, Parsed, example
from service.profiles import Verification, verify_phone
from service.repos.otps import Otp
from service.work import Work

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.requests")


class CodeRequest(Body):
    """The number of the phone that a one-time code is sent to."""

    model_config = example(phone="+14155550123")

    phone: Phone


class Guess(Body):
    """The number of a phone, and the code that was received on it."""

    model_config = example(phone="+14155550123", code="123456")

    phone: Phone
    code: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20)]


class VerifiedProfiles(BaseModel):
    """The ids of the brands and influencers that have the verified phone number."""

    brands: list[UUID]
    influencers: list[UUID]


async def create(call: Call, body: Parsed[CodeRequest]) -> Accepted:
    """Send a one-time code to a phone. The code is valid for ten minutes, and replaces earlier codes for the same phone."""
    code = one_time_codes.fresh()

    async def admit(_: Work) -> str:
        return body.get().phone

    phone = await call.run(admit)
    tenant = str(call.caller.tenant)
    await call.state["limits"].hit("codes_tenant", tenant)
    await call.state["limits"].hit("codes_phone", tenant, phone)
    sender = call.state["sender"]
    if sender is None:
        log.error("no_code_sender", remedy="set CODE_SENDER")
        raise Unavailable("No codes can be sent right now.")

    async def operation(work: Work) -> Otp:
        return await work.otps.create(phone=phone, code=code, lifetime=timedelta(seconds=one_time_codes.LIFETIME))

    await call.run(operation)
    # The code is sent after the commit that stores it, so that it is already valid when it arrives.
    try:
        async with asyncio.timeout(call.state["settings"].request_timeout):
            await sender.send(phone, code)
    except Exception as error:
        # Only the error's type is logged, because a provider's message may contain the phone number.
        log.error("code_not_sent", reason=type(error).__name__)  # noqa: TRY400  no traceback, for the same reason
        raise Unavailable("The code could not be sent; try again.") from error
    return answers.accepted()


async def verify(call: Call, body: Parsed[Guess]) -> Entity[VerifiedProfiles]:
    """Verify a phone number with the code that was sent to it. After five wrong guesses, a code is no longer valid."""

    async def admit(_: Work) -> Guess:
        return body.get()

    guess = await call.run(admit)
    await call.state["limits"].hit("guesses", str(call.caller.tenant), guess.phone)
    # For a wrong guess, the error is raised after the transaction, not in it: the transaction has counted the guess, and has to
    # be committed.
    verification: Verification | None = await call.run(lambda work: verify_phone(work, guess.phone, guess.code))
    if verification is None:
        raise InvalidInput.of("code", "This code is wrong, used or too old; ask for a new one.")
    return answers.entity(
        VerifiedProfiles, VerifiedProfiles(brands=verification.brands, influencers=verification.influencers)
    )
