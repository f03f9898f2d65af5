"""Idempotency-Key: a request's key, fingerprint and answer are stored in the transaction that makes the request's changes.

A client that did not receive the answer sends the request again with the same key. It gets the stored answer, and nothing is
changed a second time. A request that fails stores nothing, so it can be repeated with the same key.
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
    """The request has been answered before. `answer` is the stored answer.

    `number` is the number of the request's commit, None if it made none or if the log no longer contains the commit.
    """

    def __init__(self, answer: Response, number: int | None) -> None:
        super().__init__()
        self.answer, self.number = answer, number


def read_key(headers: Sequence[str]) -> str | None:
    """The key of a request with these Idempotency-Key headers, None if there are none. Raises Malformed."""
    if not headers:
        return None
    if len(headers) > 1 or not _KEY.match(headers[0]):
        raise Malformed("Idempotency-Key is one to 200 visible ASCII characters.")
    return headers[0]


@dataclass(frozen=True)
class IdempotentRequest:
    """A caller's request with an Idempotency-Key. `digest` is a hash of the request's method, URL, If-Match headers and body."""

    key: str
    caller_id: UUID
    digest: str
    lifetime: float
    """How long the answer is kept, in seconds."""

    @classmethod
    def of(cls, request: Request[Any], body: bytes, *, key: str, caller_id: UUID, lifetime: float) -> IdempotentRequest:
        """Make an IdempotentRequest from the HTTP request, its body and its key."""
        digest = hashlib.sha256()
        for part in (request.method, str(request.url.path), request.url.query, *request.headers.getlist("if-match")):
            digest.update(part.encode() + b"\n")
        digest.update(body)
        return cls(key, caller_id, digest.hexdigest(), lifetime)

    async def replay(self, work: EngineWork) -> None:
        """Raise Replayed if the request has been answered before, KeyReused if its key was used for a different request.

        Also raises InProgress if the answer is not stored yet, and Undecipherable if it can't be decrypted. Returns normally if
        the key is new.
        """
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
        """Claim the key for this transaction, and return the id of the key's row.

        If a concurrent request has claimed the same key, wait for its end; raises InProgress if that takes too long. Also
        raises Replayed and KeyReused, as `replay` does.
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
        """Store the answer, in the same transaction as the changes that the request makes."""
        await work.idempotency_keys.settle(id, self._packed(answer))

    def _fingerprint(self, work: EngineWork) -> bytes:
        # An HMAC with a secret key is stored: from the digest alone, a password in the body could be guessed.
        return work.binding.index(self.digest, _COLUMN)

    def _packed(self, answer: Response) -> str:
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        return json.dumps([answer.status_code, headers, bytes(answer.body).decode(), *self._whose])

    def _unpacked(self, work: EngineWork, text: str) -> Answer:
        """The stored answer. Raises Undecipherable if the answer was stored for a different caller, key or request.

        Without this check, somebody who can write to the database could copy an answer into the row of a different request,
        and get the answer by repeating that request.
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
