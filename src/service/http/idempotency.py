"""Idempotency keys make it safe to repeat a request whose answer was lost.

The transaction that makes a request's changes also stores the key from the header Idempotency-Key, the answer, and a fingerprint
(an HMAC of the request). If the client repeats the request with the same key, it gets the stored answer, and nothing is changed a
second time. A different request with this key has another fingerprint, and is refused. A request that fails stores nothing, so
it can be repeated with the same key.
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
    """Raised for a repeated request, to send the stored `answer` instead of carrying out the request again.

    `number` is the number of the first request's commit; None if that request changed nothing, or if its commit was pruned.
    """

    def __init__(self, answer: Response, number: int | None) -> None:
        super().__init__()
        self.answer, self.number = answer, number


def read_key(headers: Sequence[str]) -> str | None:
    """The idempotency key of a request, None if the request has none. `headers` are the values of its headers Idempotency-Key.

    Raises Malformed if there are several headers, or if the value is not a valid key.
    """
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
    """How long key and answer are kept, in seconds. After that, the key counts as new."""

    @classmethod
    def of(cls, request: Request[Any], body: bytes, *, key: str, caller_id: UUID, lifetime: float) -> IdempotentRequest:
        """Make an IdempotentRequest from the HTTP request, its body, its key, its caller's id and the lifetime of the answer."""
        digest = hashlib.sha256()
        for part in (request.method, str(request.url.path), request.url.query, *request.headers.getlist("if-match")):
            digest.update(part.encode() + b"\n")
        digest.update(body)
        return cls(key, caller_id, digest.hexdigest(), lifetime)

    async def replay(self, work: EngineWork) -> None:
        """Return if the caller has not used the key before. Otherwise raise an error that ends the present request.

        The error is Replayed with the stored answer; KeyReused if the key was used for a different request; InProgress if no
        answer is stored yet; Undecipherable if the stored answer can't be decrypted or belongs to a different request.
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
        """Store a new key, and return the id of its row. For a key that was used before, raise what `replay` raises.

        If a concurrent request of the caller has the same key, this waits until that request has ended, and raises InProgress if
        it takes too long.
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
        """Store the answer in the key's row, whose id is `id`, in the same transaction as the request's changes."""
        await work.idempotency_keys.settle(id, self._packed(answer))

    def _fingerprint(self, work: EngineWork) -> bytes:
        # An HMAC of the digest, made with a secret key, is stored. From the digest itself, somebody who reads the database could
        # guess a password in the body.
        return work.binding.index(self.digest, _COLUMN)

    def _packed(self, answer: Response) -> str:
        headers = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        return json.dumps([answer.status_code, headers, bytes(answer.body).decode(), *self._whose])

    def _unpacked(self, work: EngineWork, text: str) -> Answer:
        """The answer from its stored text. Raises Undecipherable if it was stored for a different caller, key or request.

        Without this check, somebody who can write to the database could copy an answer into the row of a request of their own,
        and get the answer by repeating that request. Texts of an earlier release do not contain caller, key and request; they
        are accepted while `Binding.accepts_earlier_forms` is true.
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
