"""The application: all routes, the middleware, the lifespan."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.api import answers, campaigns, contents, niches, probes, sessions, tenant, users
from service.api.middleware import Answered, RequestId
from service.api.resources import Endpoint, Resource
from service.api.state import State
from service.database import Database
from service.errors import Malformed, NotFound
from service.logs import observer
from service.passwords import Passwords
from service.settings import Settings
from service.tenancy import guard
from service.work import run

ENDPOINTS: Sequence[Endpoint] = (
    # Routes are tried in turn, so what is asked for most stands first.
    Endpoint("GET", "/v1/campaigns", "campaigns.read", campaigns.page),
    Endpoint("POST", "/v1/campaigns", "campaigns.write", campaigns.create),
    Endpoint("GET", "/v1/campaigns/{id}", "campaigns.read", campaigns.find),
    Endpoint("PATCH", "/v1/campaigns/{id}", "campaigns.write", campaigns.update),
    Endpoint("DELETE", "/v1/campaigns/{id}", "campaigns.write", campaigns.remove),
    Endpoint("POST", "/v1/campaigns/{id}/restore", "campaigns.write", campaigns.restore),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/contents", "campaigns.read", contents.page),
    Endpoint("POST", "/v1/campaigns/{campaign_id}/contents", "campaigns.write", contents.create),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.read", contents.find),
    Endpoint("PATCH", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.write", contents.update),
    Endpoint("DELETE", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.write", contents.remove),
    Endpoint("POST", "/v1/campaigns/{campaign_id}/contents/{id}/restore", "campaigns.write", contents.restore),
    Endpoint("GET", "/livez", "anyone", probes.live),
    Endpoint("GET", "/readyz", "anyone", probes.ready),
    Endpoint("POST", "/v1/sessions", "anyone", sessions.create),
    Endpoint("GET", "/v1/sessions", "own_sessions", sessions.page),
    Endpoint("DELETE", "/v1/sessions", "own_sessions", sessions.end_others),
    Endpoint("GET", "/v1/sessions/current", "own_sessions", sessions.current),
    Endpoint("DELETE", "/v1/sessions/current", "own_sessions", sessions.sign_out),
    Endpoint("DELETE", "/v1/sessions/{id}", "own_sessions", sessions.end),
    Endpoint("GET", "/v1/tenant", "tenant.read", tenant.find),
    Endpoint("PATCH", "/v1/tenant", "tenant.write", tenant.update),
    Endpoint("GET", "/v1/users", "users.read", users.page),
    Endpoint("POST", "/v1/users", "users.write", users.create),
    Endpoint("GET", "/v1/users/{id}", "users.read", users.find),
    Endpoint("PATCH", "/v1/users/{id}", "users.write", users.update),
    Endpoint("DELETE", "/v1/users/{id}", "users.write", users.remove),
    Endpoint("PUT", "/v1/users/{id}/password", "own_password", users.set_password),
    Endpoint("GET", "/v1/niches", "niches.read", niches.page),
    Endpoint("GET", "/v1/niches/{id}", "niches.read", niches.find),
)


def create_app(settings: Settings, endpoints: Sequence[Endpoint] = ENDPOINTS) -> Starlette:
    """The ASGI application. Its lifespan opens the database and refuses to start on an unsafe one."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        async with (
            Database.open(
                settings.address("quarry_app"), settings.limits, schema=settings.database_schema,
                observe=observer(settings),
            ) as database,
            Passwords.open() as passwords,
        ):  # fmt: skip
            async with database.connection() as connection:
                await guard.require(connection)
            installation = await run(database, lambda work: work.log.installation(), None, read_only=True)
            yield State(settings=settings, database=database, passwords=passwords, epoch=installation.epoch)

    app = Starlette(
        routes=_routes(endpoints),
        middleware=[Middleware(RequestId), Middleware(Answered)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    # /v1/campaigns/ is no path of ours, and a redirect would lose the body of a POST.
    app.router.redirect_slashes = False
    return app


def _routes(endpoints: Sequence[Endpoint]) -> list[Route]:
    """One route per path, so that a wrong method is told all the right ones."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [Route(path, Resource(methods)) for path, methods in paths.items()]


async def _refused(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown paths, and requests that it can't read."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    answer = answers.problem(NotFound() if status == 404 else Malformed(), request.scope["request_id"])
    request.scope["code"] = answer.code
    return answer
