"""The edge: whose word is taken for addresses and host names, which hosts are served, which web pages may call."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from arranging.application import problem
from service.api.app import create_app
from service.http.middleware import Answered, RequestId
from service.http.proxies import edge_middleware
from service.settings.env_file import SettingsError
from service.settings.settings import Settings

PROXY = "10.0.0.1"
PAGE = "https://app.example.com"


class Service:
    """A tiny application behind the edge, which tells what it sees."""

    def __init__(self, **settings: Any) -> None:
        async def see(request: Request) -> JSONResponse:
            host = request.client.host if request.client else None
            return JSONResponse({"client": host, "scheme": request.url.scheme, "host": request.url.hostname})

        self.app: Any = Starlette(
            routes=[
                Route(path, see, methods=["GET", "POST"]) for path in ("/", "/livez", "/readyz", "/healthz", "/metrics")
            ],
            middleware=[
                Middleware(RequestId),
                Middleware(Answered),
                *edge_middleware(Settings(_env_file=None, **settings)),
            ],
        )

    async def ask(
        self, *headers: tuple[str, str], peer: str | None = PROXY, path: str = "/", method: str = "GET"
    ) -> httpx.Response:
        async def from_peer(scope: Any, receive: Any, send: Any) -> None:
            self.scope = scope
            scope["client"] = None if peer is None else (peer, 4711)
            kept = [each for each in scope["headers"] if each[0] != b"host" or "host" not in dict(headers)]
            scope["headers"] = [*kept, *((name.encode(), value.encode("latin-1")) for name, value in headers)]
            await self.app(scope, receive, send)

        transport = httpx.ASGITransport(from_peer)
        async with httpx.AsyncClient(transport=transport, base_url="http://quarry.test") as client:
            return await client.request(method, path)

    async def seen(self, *headers: tuple[str, str], peer: str | None = PROXY) -> dict[str, Any]:
        answer = await self.ask(*headers, peer=peer)
        assert answer.status_code == 200, answer.text
        seen: dict[str, Any] = answer.json()
        return seen


BEHIND = Service(trusted_proxies="10.0.0.0/8, fd00::/8,192.0.2.99")
CLAIMS = (("x-forwarded-for", "203.0.113.5"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "acme.example"))


@pytest.mark.parametrize("peer", [PROXY, "fd00::5", "192.0.2.99", "::ffff:10.0.0.1"])
async def test_trusted_proxy_is_believed(peer: str) -> None:
    assert await BEHIND.seen(*CLAIMS, peer=peer) == {
        "client": "203.0.113.5", "scheme": "https", "host": "acme.example",
    }  # fmt: skip


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "garbage", "", None])
async def test_nobody_else_is_believed(peer: str | None) -> None:
    for service in (BEHIND, Service()):
        assert await service.seen(*CLAIMS, peer=peer) == {"client": peer, "scheme": "http", "host": "quarry.test"}


async def test_without_trusted_proxies_no_peer_is_one() -> None:
    assert (await Service().seen(*CLAIMS))["client"] == PROXY


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["203.0.113.5"], "203.0.113.5"),
        (["198.51.100.1, 203.0.113.5"], "203.0.113.5"),
        (["198.51.100.1, 203.0.113.5, 10.9.9.9,fd00::1"], "203.0.113.5"),
        (["198.51.100.1", "203.0.113.5", "10.9.9.9"], "203.0.113.5"),
        (["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (["203.0.113.5:8080"], "203.0.113.5"),
        (["2001:db8::7"], "2001:db8::7"),
        (["[2001:DB8::7]"], "2001:db8::7"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["::ffff:203.0.113.5"], "203.0.113.5"),
        (["203.0.113.5, ::ffff:10.0.0.2"], "203.0.113.5"),
        (["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (["198.51.100.1, , 10.0.0.2"], "10.0.0.2"),
        (["203.0.113.5, 10.0.0.2, "], PROXY),
        (["unknown"], PROXY),
        ([""], PROXY),
        (["203.0.113.5'; --"], PROXY),
        (["fe80::1%eth0"], PROXY),
        (["[203.0.113.5"], PROXY),
        (["203.0.113.5:http"], PROXY),
        (["1.2.3"], PROXY),
        (["0x7f.1"], PROXY),
        (["203.0.113.5\xb2"], PROXY),
        (["198.51.100.1," * 10_000 + "203.0.113.5"], "203.0.113.5"),
        (["198.51.100.1," + ",".join(["10.0.0.2"] * 10_000)], "10.0.0.2"),
        (["198.51.100.1", *["10.0.0.2"] * 5_000], "10.0.0.2"),
    ],
)
async def test_client_is_the_first_from_the_right_that_is_no_proxy(forwarded: list[str], client: str) -> None:
    assert (await BEHIND.seen(*(("x-forwarded-for", value) for value in forwarded)))["client"] == client


@pytest.mark.parametrize(
    ("values", "scheme"),
    [
        (["https"], "https"), (["HTTPS"], "https"), (["https, http"], "http"), (["https", "http"], "http"),
        (["javascript"], "http"), (["https,"], "http"), ([""], "http"), (["wss"], "http"),
    ],
)  # fmt: skip
async def test_scheme_is_what_the_nearest_proxy_wrote(values: list[str], scheme: str) -> None:
    assert (await BEHIND.seen(*(("x-forwarded-proto", value) for value in values)))["scheme"] == scheme


@pytest.mark.parametrize(
    ("values", "host"),
    [
        (["acme.example:8443"], "acme.example"),
        (["evil.example, acme.example"], "acme.example"),
        (["evil.example", "acme.example"], "acme.example"),
        (["[2001:db8::7]:443"], "2001:db8::7"),
        (["acme.example/path"], "quarry.test"),
        (["user@acme.example"], "quarry.test"),
        (["acme.example:99999"], "quarry.test"),
        (["acme.example,"], "quarry.test"),
        (["acme example"], "quarry.test"),
        (["a" * 300], "quarry.test"),
        ([""], "quarry.test"),
    ],
)
async def test_host_is_what_the_nearest_proxy_wrote_if_it_is_one(values: list[str], host: str) -> None:
    assert (await BEHIND.seen(*(("x-forwarded-host", value) for value in values)))["host"] == host


HOSTS = Service(allowed_hosts="acme.example,*.Globex.example,192.0.2.7,[2001:db8:0::7]", trusted_proxies=PROXY)


@pytest.mark.parametrize(
    "host",
    [
        "acme.example", "ACME.example:8000", "acme.example.", "a.globex.example", "a.b.globex.example:80",
        "192.0.2.7", "[2001:db8::7]", "[2001:DB8::0:7]:8000",
    ],
)  # fmt: skip
async def test_allowed_host_is_served(host: str) -> None:
    assert (await HOSTS.ask(("host", host))).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "globex.example", "evilglobex.example", "acme.example.evil.example", "xacme.example", "",
        "acme.example:", "acme.example:80:80", "acme.example:99999", "acme.example/", "evil.example#acme.example",
        "acme.example@evil.example", "acme.example,evil.example", " acme.example", "2001:db8::7", "[2001:db8::8]",
        "[acme.example]", "acme.example\xa0", "acme..example", "acme.example..", "x" * 10_000,
    ],
)  # fmt: skip
async def test_other_host_is_refused_with_a_problem_that_is_logged(host: str) -> None:
    answer = await HOSTS.ask(("host", host))
    assert problem(answer, 400, "malformed")["detail"] == "This host name is not served here."
    assert HOSTS.scope["code"] == "malformed"


async def test_host_that_a_proxy_forwards_has_to_be_allowed_too() -> None:
    assert (await HOSTS.ask(("x-forwarded-host", "acme.example"))).status_code == 200
    problem(await HOSTS.ask(("host", "acme.example"), ("x-forwarded-host", "evil.example")), 400, "malformed")
    stranger = await HOSTS.ask(("x-forwarded-host", "acme.example"), peer="192.0.2.1")
    problem(stranger, 400, "malformed")


async def test_two_host_headers_are_refused_whatever_is_allowed() -> None:
    for service in (HOSTS, Service()):
        problem(await service.ask(("host", "acme.example"), ("host", "acme.example")), 400, "malformed")


async def test_without_allowed_hosts_every_host_is_served() -> None:
    for host in ("any.example", "", "acme example"):
        assert (await Service().ask(("host", host))).status_code == 200


async def test_probes_answer_for_any_host() -> None:
    for path in ("/livez", "/readyz", "/healthz", "/metrics"):
        for host in ("10.1.2.3:8000", "evil.example", "acme example"):
            assert (await HOSTS.ask(("host", host), path=path)).status_code == 200
    problem(await HOSTS.ask(("host", "evil.example"), path="/livez/"), 400, "malformed")


async def test_application_stands_behind_the_edge(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"allowed_hosts": ("acme.example",), "cors_origins": (PAGE,)}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
        problem(await client.get("http://evil.example/v1/campaigns"), 400, "malformed")
        asked = {"Origin": PAGE, "Access-Control-Request-Method": "PATCH"}
        assert (await client.options("http://acme.example/v1/campaigns", headers=asked)).status_code == 200
        assert (await client.get("http://10.1.2.3/livez")).status_code == 200


WEB = Service(cors_origins=f"{PAGE},http://localhost:3000")


def preflight(origin: str, method: str, *headers: str) -> tuple[tuple[str, str], ...]:
    return (
        ("origin", origin), ("access-control-request-method", method),
        ("access-control-request-headers", ",".join(headers)),
    )  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_preflight_of_an_allowed_page_is_granted_without_credentials(method: str) -> None:
    names = "authorization,content-type,if-match,if-none-match,idempotency-key,request-id,consistency,last-event-id"
    answer = await WEB.ask(*preflight(PAGE, method, *names.split(",")), method="OPTIONS")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert set(names.split(",")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert "access-control-allow-credentials" not in answer.headers
    assert answer.headers["request-id"]


@pytest.mark.parametrize(
    ("origin", "method", "header"),
    [
        ("https://evil.example", "GET", "authorization"),
        ("null", "GET", "authorization"),
        (f"{PAGE}.evil.example", "GET", "authorization"),
        ("http://app.example.com", "GET", "authorization"),
        (PAGE, "TRACE", "authorization"),
        (PAGE, "GET", "x-secret"),
    ],
)
async def test_other_preflight_is_refused_with_a_problem(origin: str, method: str, header: str) -> None:
    answer = await WEB.ask(*preflight(origin, method, header), method="OPTIONS")
    problem(answer, 400, "malformed")
    assert "access-control-allow-origin" not in answer.headers
    assert "Origin" in answer.headers["vary"]
    assert WEB.scope["code"] == "malformed"


async def test_answers_are_shown_to_allowed_pages_alone() -> None:
    answer = await WEB.ask(("origin", PAGE))
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert set(answer.headers["access-control-expose-headers"].split(", ")) == {
        "ETag", "Location", "Consistency", "Request-Id", "Idempotency-Replayed", "Retry-After",
    }  # fmt: skip
    assert "Origin" in answer.headers["vary"]
    other = await WEB.ask(("origin", "https://evil.example"))
    assert (other.status_code, other.headers.get("access-control-allow-origin")) == (200, None)


async def test_without_origins_there_are_no_cors_headers() -> None:
    for answer in (
        await Service().ask(("origin", PAGE)),
        await Service().ask(*preflight(PAGE, "GET", "authorization"), method="OPTIONS"),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.status_code == 405


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TRUSTED_PROXIES", "10.0.0.1/8", "'10.0.0.1/8' is not an IP address or network"),
        ("TRUSTED_PROXIES", "10.0.0.1,proxy.example", "'proxy.example' is not an IP address"),
        ("TRUSTED_PROXIES", "*", r"'\*' is not an IP address"),
        ("ALLOWED_HOSTS", "acme.example:8000", "'acme.example:8000' is not a host name"),
        ("ALLOWED_HOSTS", "https://acme.example", "is not a host name"),
        ("ALLOWED_HOSTS", "a.*.example", "is not a host name"),
        ("ALLOWED_HOSTS", "*", "is not a host name"),
        ("ALLOWED_HOSTS", "*acme.example", "is not a host name"),
        ("ALLOWED_HOSTS", "[::g]", "is not a host name"),
        ("CORS_ORIGINS", "app.example.com", "'app.example.com' is not an origin"),
        ("CORS_ORIGINS", "https://app.example.com/", "is not an origin"),
        ("CORS_ORIGINS", "https://app.example.com:443", "without the standard port"),
        ("CORS_ORIGINS", "*", "is not an origin"),
    ],
)
def test_wrong_list_is_one_line_that_names_its_variable(monkeypatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^{name}: .*{said}"):
        Settings.load()
