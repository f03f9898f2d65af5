"""Idempotency-Key: key, fingerprint, effect and answer are written in one transaction, so that a repeated request whose
answer was lost gets the same answer and has no second effect. A request that fails writes nothing, and may be repeated.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from service.engine import EngineWork
from service.errors import InProgress, KeyReused, Malformed, Timeout
from service.http.answers import Answer
from service.personal.keyring import Undecipherable
from service.tenancy.binding import UNDECIPHERABLE

_KEY = re.compile(r"[\x21-\x7e]{1,200}\Z")
_KEPT_HEADERS = ("content-type", "etag", "location")
_COLUMN = "idempotency_keys.fingerprint"


class Replayed(Exception):
    """The key's request has been answered before: this is the answer, and the number of its commit if it got one."""

    def __init__(self, answer: Response, number: int | None) -> None:
        super().__init__()
        self.answer, self.number = answer, number


def read_key(headers: Sequence[str]) -> str | None:
    """The request's key, if it has one. Raises Malformed."""
    if not headers:
        return None
    if len(headers) > 1 or not _KEY.match(headers[0]):
        raise Malformed("Idempotency-Key is one to 200 visible ASCII characters.")
    return headers[0]


@dataclass(frozen=True)
class IdempotentRequest:
    """A request with a key, by one caller; `digest` is of all that makes it this request."""

    key: str
    caller_id: UUID
    digest: str
    lifetime: float
    """How long the answer is kept, in seconds."""

    @classmethod
    def of(cls, request: Request[Any], body: bytes, *, key: str, caller_id: UUID, lifetime: float) -> IdempotentRequest:
        """The request as its key knows it: method, address, precondition and body."""
        digest = hashlib.sha256()
        for part in (request.method, str(request.url.path), request.url.query, *request.headers.getlist("if-match")):
            digest.update(part.encode() + b"\n")
        digest.update(body)
        return cls(key, caller_id, digest.hexdigest(), lifetime)

    async def replay(self, work: EngineWork) -> None:
        """Raise Replayed when the request has been answered before, KeyReused when the key was another request's."""
        settled = await work.idempotency_keys.find(self.caller_id, self.key)
        if settled is None:
            return
        if settled.fingerprint != self._fingerprint(work):
            raise KeyReused
        if settled.answer is None:
            raise InProgress
        if settled.answer == UNDECIPHERABLE:
            raise Undecipherable
        raise Replayed(self._unpacked(work, settled.answer), settled.number)

    async def claim(self, work: EngineWork) -> UUID:
        """Claim the key for this transaction; wait if a concurrent request with the same key has claimed it.

        Raises Replayed, KeyReused, and InProgress if that request takes too long.
        """
        try:
            id = await work.idempotency_keys.claim(
                caller_id=self.caller_id,
                key=self.key,
                fingerprint=self._fingerprint(work),
                lifetime=timedelta(seconds=self.lifetime),
            )
        except Timeout as error:
            raise InProgress from error
        if id is None:
            await self.replay(work)
            raise InProgress
        return id

    async def settle(self, work: EngineWork, id: UUID, answer: Response) -> None:
        """Remember the answer, in the transaction of its effect."""
        await work.idempotency_keys.settle(id, self._packed(answer))

    def _fingerprint(self, work: EngineWork) -> bytes:
        # Not the digest itself: a password in a body could be guessed from it.
        return work.binding.index(self.digest, _COLUMN)

    def _packed(self, answer: Response) -> str:
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        return json.dumps([answer.status_code, headers, bytes(answer.body).decode(), *self._whose])

    def _unpacked(self, work: EngineWork, text: str) -> Answer:
        """The answer, if it was sealed for this caller, key and request: anybody with write access can change the row.

        Raises Undecipherable.
        """
        status, headers, body, *whose = json.loads(text)
        if whose != self._whose and (whose or not work.binding.accepts_earlier_forms):
            raise Undecipherable
        return _answer(status, headers, body)

    @property
    def _whose(self) -> list[str]:
        return [str(self.caller_id), self.key, self.digest]


def _answer(status: int, headers: dict[str, str], body: str) -> Answer:
    answer = Answer(body, status, {**headers, "Idempotency-Replayed": "true"})
    if "content-type" not in headers:
        del answer.headers["content-type"]
    return answer
