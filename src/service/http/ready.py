"""Answers that can be sent again. An answer is kept if all reads of its GET came from the cache.

A ready answer is sent if each of these reads would be answered from the cache now, with the same rows, the row of the caller's
session or API key among them. So the caller would be admitted again, and the answer would be the same, byte for byte. It is
valid neither longer nor for more callers than the cached rows.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any
from uuid import UUID

from starlette.responses import Response
from starlette.types import Scope

from service.cache.cache import Cache, Question, Reading, Rows, size_of
from service.metrics import CACHE

_CONDITIONS = frozenset({b"if-none-match", b"consistency"})
"""Request headers on which an answer depends, besides Authorization."""
_SHARE = 4
"""Ready answers may take a quarter of the entries and bytes that cached rows may take."""

Key = tuple[str, bytes, bytes]
Headers = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class ReadyAnswer:
    """An answer with status 200, and the reads that it was made of.

    `placed` are the epoch and the commit numbers that its ETag was made of, None if they were not needed. `size` is the
    approximate memory in bytes, with that of the rows, which the cache may have dropped.
    """

    tenant: UUID
    uses: Sequence[tuple[Question, Rows]]
    placed: tuple[int, int, int] | None
    headers: Headers
    body: bytes
    size: int


def key_of(scope: Scope) -> Key | None:
    """What a ready answer is found by: path, query and a hash of the header Authorization.

    None if there can't be one for the request.
    """
    if scope["method"] != "GET":
        return None
    token = None
    for name, value in scope["headers"]:
        if name in _CONDITIONS:
            return None
        if name == b"authorization" and token is None:
            token = value
    return None if token is None else (scope["path"], scope["query_string"], hashlib.sha256(token).digest())


class ReadyAnswers:
    """The ready answers of this process."""

    def __init__(self, cache: Cache | None, most_entries: int, most_bytes: int) -> None:
        """`cache` holds the rows, which `most_entries` and `most_bytes` limit; None for no cache and no ready answers."""
        self._cache = cache
        self._most_entries, self._most_bytes = most_entries // _SHARE, most_bytes // _SHARE
        self._ready: OrderedDict[Key, ReadyAnswer] = OrderedDict()
        self._bytes = 0
        self._hits = CACHE.labels(outcome="hit")

    def find(self, key: Key) -> ReadyAnswer | None:
        """The answer for `key`, if it is valid. One that is not valid is forgotten."""
        ready = self._ready.get(key)
        if ready is None or self._cache is None:
            return None
        if not self._holds(ready, self._cache):
            self._forget(key)
            return None
        self._ready.move_to_end(key)
        self._hits.inc(len(ready.uses))
        return ready

    def _holds(self, ready: ReadyAnswer, cache: Cache) -> bool:
        if any(cache.held(question) != rows for question, rows in ready.uses):
            return False
        if ready.placed is None:
            return True
        numbers = cache.watermarks.place(ready.tenant, at_least=0, now=monotonic())
        return numbers is not None and (cache.watermarks.epoch, *numbers) == ready.placed

    def keep(self, key: Key, reading: Reading | None, answer: Response) -> None:
        """Keep an answer if all that was read for it has come from the cache."""
        # At least the row of the bearer and one more result.
        if self._cache is None or reading is None or not reading.is_from_cache or len(reading.uses) < 2:
            return
        body = bytes(answer.body)
        size = len(body) + len(key[0]) + len(key[1]) + sum(size_of(rows) for _, rows in reading.uses)
        if answer.status_code != 200 or size > self._most_bytes // 8:
            return
        self._forget(key)
        self._ready[key] = ReadyAnswer(
            reading.tenant, tuple(reading.uses), reading.placed, answer.raw_headers, body, size
        )  # fmt: skip
        self._bytes += size
        while self._bytes > self._most_bytes or len(self._ready) > self._most_entries:
            self._forget(next(iter(self._ready)))

    def _forget(self, key: Key) -> None:
        if (ready := self._ready.pop(key, None)) is not None:
            self._bytes -= ready.size


async def send(ready: ReadyAnswer, send: Any) -> None:
    """Send a ready answer."""
    await send({"type": "http.response.start", "status": 200, "headers": ready.headers})
    await send({"type": "http.response.body", "body": ready.body})
