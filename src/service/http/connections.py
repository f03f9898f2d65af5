"""Limits for clients whose requests have not been read yet: open connections, size of the headers, time to send a request.

uvicorn's own protocol class reads the head of a request (request line and headers) however large it is, waits for it without a
time limit, and accepts any number of connections. `BoundedProtocol` refuses what exceeds a limit: it sends a problem document
and closes the connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import structlog
from pydantic_core import to_json
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.http.proxies import ip_of, is_among
from service.metrics import CONNECTIONS_REFUSED
from service.settings.forms import Networks

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.connections")

_MOST_HEADERS = 100
_HEAD_BYTES = 32 * 1024
"""The most bytes of all headers together. An incomplete head, or the framing of a chunked body, may not be larger either."""
_TARGET_BYTES = 8 * 1024
_BESIDE_A_BYTE = 9
"""How many bytes a client may send for each byte of data in a chunked body. A chunk with one byte of data takes six bytes;
three more are allowed for chunk extensions. Besides, _HEAD_BYTES may be sent."""
_WARN_EVERY = 60.0


@dataclass(frozen=True)
class Refusal:
    """Why a connection or request is refused. `reason` is the label in the metric CONNECTIONS_REFUSED; the other fields are for
    the problem document that the client gets.
    """

    status: int
    code: str
    detail: str
    reason: str


_MALFORMED = Refusal(400, "malformed", "This is not an HTTP request.", "malformed")
_TARGET = Refusal(414, "too_large", "The address is too long.", "target")
_HEADERS = Refusal(431, "too_large", "The headers are too many or too large.", "headers")
_TOO_SLOW = Refusal(408, "timeout", "The request did not arrive in time.", "slow")
_FULL = Refusal(503, "unavailable", "Too many connections are open; try again in a moment.", "full")
_CROWD = Refusal(503, "unavailable", "Too many connections of your address are open.", "address")


@dataclass
class Gate:
    """Counts the open connections: at most `most` are admitted, and at most `most_of_address` from one IP address.

    The addresses of trusted proxies have no limit of their own. The head of a request must arrive within `head_timeout` seconds,
    its body within `body_timeout` seconds. Each of these four limits can be switched off by 0.
    """

    most: int
    most_of_address: int
    head_timeout: float
    body_timeout: float
    trusted: Networks = ()
    _open: Counter[str] = field(default_factory=Counter)
    _total: int = 0
    _warned_at: float = -_WARN_EVERY

    def enter(self, address: str) -> Refusal | None:
        """Count a new connection. Returns None if it is admitted, otherwise why it is refused. `leave` must follow either way."""
        self._open[address] += 1
        self._total += 1
        if self.most and self._total > self.most:
            return _FULL
        if self.most_of_address and self._open[address] > self.most_of_address and not self._is_trusted(address):
            return _CROWD
        return None

    def leave(self, address: str) -> None:
        """Subtract a connection that has been closed from the counts."""
        self._total -= 1
        self._open[address] -= 1
        if not self._open[address]:
            del self._open[address]

    def warn(self, refusal: Refusal, address: str, now: float) -> None:
        """Log a refused connection, at most once in _WARN_EVERY seconds, so that many refusals do not fill the log."""
        if now - self._warned_at >= _WARN_EVERY:
            self._warned_at = now
            log.warning(
                "connection_refused", reason=refusal.reason, address=address, open=self._total,
                remedy="see MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS and TRUSTED_PROXIES",
            )  # fmt: skip

    def _is_trusted(self, address: str) -> bool:
        ip = ip_of(address)
        return ip is not None and is_among(ip, self.trusted)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the limits of `gate`. Each connection has one timer, which checks the current deadline, so that no
    timer has to be started and cancelled for every request.
    """

    def __init__(self, *args: Any, gate: Gate, **options: Any) -> None:
        super().__init__(*args, **options)
        self._gate = gate
        self._address = ""
        self._messages = 0
        self._is_in_head = False
        self._head_bytes = 0
        self._is_in_body = False
        self._body_bytes = 0
        self._received_of_body = 0
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._refusal: Refusal | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        if (refusal := self._gate.enter(self._address)) is not None:
            self._gate.warn(refusal, self._address, self.loop.time())
            self._refuse(refusal)
            return
        self._expect(self._gate.head_timeout)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gate.leave(self._address)
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return
        before = self._messages, self._is_in_body
        super().data_received(data)
        if self._refusal is not None:
            return
        # The piece of data in which a head or body begins is not counted, because it may also contain the end of the request
        # before. So an incomplete head is limited here only roughly; on_headers_complete checks a complete one exactly.
        if before == (self._messages, False) and self._is_in_head:
            self._head_bytes += len(data)
        if before == (self._messages, True) and self._is_in_body:
            self._received_of_body += len(data)
        if max(self._head_bytes, self._received_of_body - _BESIDE_A_BYTE * self._body_bytes) > _HEAD_BYTES:
            # The parser reports a header or trailer only when it is complete. So on_header would never refuse an endless one.
            self._refuse(_HEADERS)
        elif self._deadline is None and (self.cycle is None or self.cycle.response_complete):
            # uvicorn cancels its keep-alive timer when any data arrive, even a single line break. So a deadline has to replace
            # that timer.
            self._expect(self._gate.head_timeout)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._messages += 1
        self._is_in_head, self._is_in_body = True, False
        self._head_bytes = self._body_bytes = self._received_of_body = 0
        if self._deadline is None:
            self._expect(self._gate.head_timeout)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > _TARGET_BYTES:
            self._abort(_TARGET)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        if len(self.headers) > _MOST_HEADERS:
            self._abort(_HEADERS)

    def on_headers_complete(self) -> None:
        self._is_in_head, self._is_in_body = False, True
        if sum(len(name) + len(value) for name, value in self.headers) > _HEAD_BYTES:
            self._abort(_HEADERS)
        self._expect(self._gate.body_timeout)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_body = False
        self._deadline = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's message is not used
        """Refuse the request. uvicorn calls this when the data are not valid HTTP, or when `_abort` has stopped the parser."""
        self._refuse(self._refusal or _MALFORMED)

    def _abort(self, refusal: Refusal) -> None:
        """Stop the parser by an exception; it treats an exception in a callback as invalid data."""
        self._refusal = refusal
        raise ValueError(refusal.detail)

    def _refuse(self, refusal: Refusal) -> None:
        """Send a problem document, unless the answer to the current request has already begun, and close the connection."""
        self._refusal = refusal
        self._deadline = None
        CONNECTIONS_REFUSED.labels(reason=refusal.reason).inc()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_document(refusal))
        self.transport.close()

    def _expect(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds if seconds else None

    def _watch(self) -> None:
        """End the connection if its deadline has passed; otherwise schedule the next check."""
        now = self.loop.time()
        if self._deadline is not None and now >= self._deadline:
            if self._is_in_head or self.cycle is None or not self.cycle.response_complete:
                self._refuse(_TOO_SLOW)
            else:
                # The last request has already been answered and no other has begun, so no problem document is sent.
                self.transport.close()
            return
        soonest = min(filter(None, (self._gate.head_timeout, self._gate.body_timeout)), default=0.0)
        if soonest:
            wait = soonest if self._deadline is None else min(self._deadline - now, soonest)
            self._timer = self.loop.call_later(wait, self._watch)


def _document(refusal: Refusal) -> bytes:
    body = to_json({
        "type": f"urn:quarry:error:{refusal.code}", "title": refusal.code.replace("_", " ").capitalize(),
        "status": refusal.status, "code": refusal.code, "detail": refusal.detail,
    })  # fmt: skip
    retry = b"retry-after: 1\r\n" if refusal.status == 503 else b""
    return b"".join((
        STATUS_LINE.get(refusal.status, b"HTTP/1.1 400 Bad Request\r\n"), b"content-type: application/problem+json\r\n",
        b"content-length: %d\r\n" % len(body), retry, b"connection: close\r\n\r\n", body,
    ))  # fmt: skip
