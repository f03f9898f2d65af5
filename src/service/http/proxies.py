"""Checks that precede routing: which proxies are trusted, which host names are served, and which web pages may call the API.

Sign-in can find the tenant by the host name, and rate limits count by the client's address. Whoever forges these could evade
the limits, so X-Forwarded-* headers are used only if a trusted proxy sends them. The middleware of uvicorn and Starlette does
not suffice: uvicorn's ignores X-Forwarded-Host and accepts invalid addresses, and Starlette's refuses requests with plain text
instead of a problem document.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Malformed
from service.http import answers
from service.http.answers import Answer
from service.settings.forms import Hosts, Networks
from service.settings.http import HttpSettings

_PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})
"""Paths that are served under any host name, because probes and Prometheus send requests to the IP address of a process."""
_HOPS = 32
"""How many entries of X-Forwarded-For are read at most, beginning with the rightmost."""
_NODE = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?\Z|([0-9a-f:.]+)\Z", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)(?::([0-9]{1,5}))?\Z", re.IGNORECASE)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_READ = (
    "Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key", "Request-Id", "Consistency",
    "Last-Event-ID",
)  # fmt: skip
_SHOWN = ("ETag", "Location", "Consistency", "Request-Id", "Idempotency-Replayed", "Retry-After")


def edge_middleware(settings: HttpSettings) -> list[Middleware]:
    """The middleware that the settings require, outermost first. RequestId must enclose it, because refusals contain the id."""
    stack = [Middleware(HostCheck, allowed=settings.allowed_hosts)]
    if settings.trusted_proxies:
        stack.insert(0, Middleware(Forwarded, trusted=settings.trusted_proxies))
    if settings.cors_origins:
        stack.append(
            Middleware(
                Cors, allow_origins=settings.cors_origins, allow_methods=_METHODS, allow_headers=_READ,
                expose_headers=_SHOWN,
            )
        )  # fmt: skip
    return stack


class Forwarded:
    """Replaces the request's client address, scheme and host name by those in X-Forwarded-* headers, if a trusted proxy sent it.

    Each proxy appends to X-Forwarded-For the address that it got the request from. So the rightmost entry was
    written by the nearest proxy, and any other entry by the proxy whose address is the entry to its right. An entry is trusted
    only if the proxy that wrote it is trusted.
    """

    def __init__(self, app: ASGIApp, trusted: Networks) -> None:
        self.app = app
        self.trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = ip_of(scope["client"][0]) if scope["type"] == "http" and scope.get("client") else None
        if peer is not None and is_among(peer, self.trusted):
            # The scope is changed, not copied: the middleware `Answered` gets the error code of the answer from the same object.
            self._believe(scope, peer)
        await self.app(scope, receive, send)

    def _believe(self, scope: Scope, peer: IPv4Address | IPv6Address) -> None:
        headers = Headers(scope=scope)
        scope["client"] = (str(self._client(peer, headers)), 0)
        scheme = _last(headers, "x-forwarded-proto").lower()
        if scheme in ("http", "https"):
            scope["scheme"] = scheme
        host = _last(headers, "x-forwarded-host")
        if _host(host) is not None:
            kept = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope["headers"] = [*kept, (b"host", host.encode("latin-1"))]

    def _client(self, peer: IPv4Address | IPv6Address, headers: Headers) -> IPv4Address | IPv6Address:
        """The client's address: the rightmost one in X-Forwarded-For that is not the address of a trusted proxy.

        If the search (from the right) meets an invalid entry or the end, the result is the last address found, at first `peer`.
        """
        client = peer
        nodes = ",".join(headers.getlist("x-forwarded-for")).rsplit(",", _HOPS)[-_HOPS:]
        for node in reversed(nodes):
            match = _NODE.match(node.strip())
            before = ip_of(match.group(match.lastindex or 0)) if match else None
            if before is None:
                break
            client = before
            if not is_among(client, self.trusted):
                break
        return client


class HostCheck:
    """Refuses requests with several Host headers, or with a host name that is not in `allowed` (if empty, all are allowed).

    Probes are not checked.
    """

    def __init__(self, app: ASGIApp, allowed: Hosts) -> None:
        self.app = app
        self.names = frozenset(name for name in allowed if not name.startswith("*"))
        self.endings = tuple(name.removeprefix("*") for name in allowed if name.startswith("*"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in _PROBES and (wrong := self._wrong(scope)):
            await _refusal(scope, wrong)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _wrong(self, scope: Scope) -> str | None:
        given = Headers(scope=scope).getlist("host")
        if len(given) > 1:
            # A proxy in front of this service may have checked one of these headers, while this service would use another one.
            return "Send one Host header."
        if not self.names and not self.endings:
            return None
        host = _host(given[0]) if given else None
        if host is None or not (host in self.names or host.endswith(self.endings)):
            return "This host name is not served here."
        return None


class Cors(CORSMiddleware):
    """Starlette's CORS middleware, except that a refused preflight request is answered with a problem document."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" and scope["method"] == "OPTIONS" else Headers()
        if "origin" not in headers or "access-control-request-method" not in headers:
            await super().__call__(scope, receive, send)
            return
        answer = self.preflight_response(headers)
        if answer.status_code != 200:
            vary = answer.headers["vary"]
            answer = _refusal(scope, "This origin, method or header is not allowed to web pages.")
            answer.headers["Vary"] = vary
        await answer(scope, receive, send)


def _refusal(scope: Scope, detail: str) -> Answer:
    answer = answers.problem(Malformed(detail), scope["request_id"])
    scope["code"] = answer.code
    return answer


def _last(headers: Headers, name: str) -> str:
    """The last value of a header; empty without the header. It may occur several times, each time with a comma-separated list."""
    values = headers.getlist(name)
    return values[-1].rpartition(",")[2].strip() if values else ""


def is_among(ip: IPv4Address | IPv6Address, networks: Networks) -> bool:
    """Whether the address is in one of the networks."""
    return any(ip in network for network in networks)


def ip_of(text: str) -> IPv4Address | IPv6Address | None:
    """`text` as an IP address, None if it is not one. An IPv4-mapped IPv6 address becomes an IPv4 address."""
    try:
        ip = ip_address(text)
    except ValueError:
        return None
    # A socket for both IPv4 and IPv6 reports an IPv4 client as an IPv4-mapped IPv6 address.
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _host(text: str) -> str | None:
    """The host name or address in the value of a Host header, in lower case, without port and final dot; None if not valid."""
    match = _HOST.match(text)
    if not match or len(text) > 255 or int(match.group(2) or 0) > 65535:
        return None
    host = match.group(1).lower()
    if not host.startswith("["):
        return host.removesuffix(".")
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except ValueError:
        return None
