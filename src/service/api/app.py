"""The ASGI application: its routes, its middleware, and its lifespan, which opens what all requests share."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import get_args

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service import metrics
from service.accounts import one_time_codes
from service.accounts.passwords import Passwords
from service.api.routes import ENDPOINTS
from service.cache.cache import Cache
from service.cache.watermarks import Watermarks
from service.changes.consumers import Consumer, configured
from service.changes.feed import Feed
from service.changes.sessions import session_events
from service.database.database import Database
from service.database.pool import GREETING
from service.errors import Malformed, NotFound
from service.http import answers
from service.http.endpoints import Endpoint, Resource
from service.http.limits import LimitName, Limits
from service.http.middleware import Answered, RequestId
from service.http.proxies import edge_middleware
from service.http.quota import Quota
from service.http.ready import ReadyAnswers
from service.http.reference import ApiReference
from service.http.shares import Shares
from service.http.shutdown import shutdown_notice
from service.http.state import State
from service.logs import observer
from service.operations.health import Health
from service.operations.upkeep import Upkeep
from service.personal import keyring
from service.replicas import Replicas
from service.settings.settings import Settings
from service.tenancy import guard
from service.work import Work


# fmt: off
def create_app(
    settings: Settings, endpoints: Sequence[Endpoint] = ENDPOINTS, consumers: Sequence[Consumer] = ()
) -> Starlette:
    """Create the ASGI application. It fails to start if the guard finds that the database does not keep tenants apart.

    `consumers` are called with every commit (changes/consumers.py), as are the consumers that the setting CONSUMERS names.
    """
    document = ApiReference.of(endpoints)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        keys, watermarks = keyring.load(settings), Watermarks()
        observe = observer(settings.database_slow_statement, every=settings.database_log_queries)
        async with (
            Cache.open(settings, watermarks) as cache,
            Database.open(
                settings.address("quarry_app"), settings.limits, schema=settings.database_schema,
                observe=observe, keyring=keys, cache=cache if settings.cache_ttl else None,
                greeting=GREETING,
            ) as database,
            Passwords.open() as passwords,
            Limits.open(settings, keys.index_key) as limits,
        ):  # fmt: skip
            async with database.connection() as connection:
                await guard.require(connection)
                await guard.require_keys(connection, keys)
            handlers = (session_events(), *configured(settings), *consumers)
            metrics.appear(
                statuses=answers.STATUS, limits=get_args(LimitName), consumers=[each.name for each in handlers]
            )
            async with (
                Feed.open(settings, database, watermarks, handlers, Work) as feed,
                Replicas.open(settings, database, watermarks) as replicas,
                Upkeep.open(feed.database, settings.session_idle_timeout) as upkeep,
            ):
                serving = replace(feed.database, replicas=replicas or None)
                health = Health(serving, feed, replicas, cache, settings.changes_max_age)
                with shutdown_notice(health.leave, feed.close, settings.shutdown_delay):
                    yield State(
                        settings=settings, database=serving, kind=Work, passwords=passwords, limits=limits, upkeep=upkeep,
                        quota=Quota(settings.idempotency_keys_per_tenant), shares=Shares(settings.database_pool_max),
                        ready=ReadyAnswers(
                            serving.cache if serving.replicas is None else None,
                            settings.cache_max_entries, settings.cache_max_bytes,
                        ),
                        sender=one_time_codes.sender(settings), watermarks=watermarks, feed=feed,
                        health=health, revision=document.revision,
                    )  # fmt: skip

    app = Starlette(
        routes=_routes(endpoints),
        middleware=[Middleware(RequestId), Middleware(Answered), *edge_middleware(settings)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    app.state.reference = document
    # A path with a final slash, such as /v1/campaigns/, gets 404. Otherwise Starlette would redirect to the path without it, and
    # some clients that follow the redirect of a POST do not send the body again.
    app.router.redirect_slashes = False
    return app


def _routes(endpoints: Sequence[Endpoint]) -> list[Route]:
    """One route for each path, with the endpoints of all its methods, so that the answer to a wrong method can list the allowed
    ones.
    """
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [Route(path, Resource(methods)) for path, methods in paths.items()]


async def _refused(request: Request, error: Exception) -> Response:
    """The answer to a request that Starlette itself refuses: the path is unknown, or the request can't be read."""
    status = error.status_code if isinstance(error, HTTPException) else 400
    refusal = NotFound("There is nothing at this path; /docs lists what there is.") if status == 404 else Malformed()
    answer = answers.problem(refusal, request.scope["request_id"])
    request.scope["code"] = answer.code
    return answer
