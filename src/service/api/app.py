"""The application: all routes, the middleware, the lifespan."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
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
from service.api import (
    api_keys,
    audit,
    brands,
    campaign_influencers,
    campaigns,
    changes,
    contents,
    influencers,
    niches,
    operators,
    otps,
    probes,
    seed,
    sessions,
    tenants,
    users,
)
from service.cache.cache import Cache
from service.cache.watermarks import Watermarks
from service.changes.consumers import Consumer, named
from service.changes.feed import Feed
from service.changes.sessions import session_events
from service.database.pool import GREETING, Database
from service.errors import Malformed, NotFound
from service.http import answers, reference
from service.http.endpoints import LARGE, Endpoint, Resource
from service.http.limits import LimitName, Limits
from service.http.middleware import Answered, RequestId
from service.http.proxies import edge
from service.http.quota import Quota
from service.http.reference import Reference
from service.http.shares import Shares
from service.http.shutdown import told_to_stop
from service.http.state import State
from service.logs import observer
from service.operations.health import Health
from service.operations.upkeep import Upkeep
from service.personal import keyring
from service.replicas import Replicas
from service.settings import Settings
from service.tenancy import guard

# fmt: off
ENDPOINTS: Sequence[Endpoint] = (
    # Routes are tried in turn, so what is asked for most stands first.
    Endpoint("GET", "/v1/campaigns", "campaigns.read", campaigns.page),
    Endpoint("POST", "/v1/campaigns", "campaigns.write", campaigns.create, most=LARGE),
    Endpoint("GET", "/v1/campaigns/{id}", "campaigns.read", campaigns.find),
    Endpoint("PATCH", "/v1/campaigns/{id}", "campaigns.write", campaigns.update, most=LARGE),
    Endpoint("DELETE", "/v1/campaigns/{id}", "campaigns.write", campaigns.remove),
    Endpoint("POST", "/v1/campaigns/{id}/restore", "campaigns.write", campaigns.restore, refuses=("invalid_input",)),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/contents", "campaigns.read", contents.page),
    Endpoint("POST", "/v1/campaigns/{campaign_id}/contents", "campaigns.write", contents.create, most=LARGE),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.read", contents.find),
    Endpoint("PATCH", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.write", contents.update, most=LARGE),
    Endpoint("DELETE", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.write", contents.remove),
    Endpoint("POST", "/v1/campaigns/{campaign_id}/contents/{id}/restore", "campaigns.write", contents.restore),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/influencers", "campaigns.read", campaign_influencers.page),
    Endpoint("PUT", "/v1/campaigns/{campaign_id}/influencers/{influencer_id}", "campaigns.write", campaign_influencers.put),
    Endpoint("DELETE", "/v1/campaigns/{campaign_id}/influencers/{influencer_id}", "campaigns.write", campaign_influencers.remove),
    Endpoint("GET", "/v1/brands", "brands.read", brands.page),
    Endpoint("POST", "/v1/brands", "brands.write", brands.create, most=LARGE),
    Endpoint("GET", "/v1/brands/{id}", "brands.read", brands.find),
    Endpoint("PATCH", "/v1/brands/{id}", "brands.write", brands.update, most=LARGE),
    Endpoint("DELETE", "/v1/brands/{id}", "brands.write", brands.remove),
    Endpoint("POST", "/v1/brands/{id}/restore", "brands.write", brands.restore),
    Endpoint("PUT", "/v1/brands/{id}/niches/{niche_id}", "brands.write", brands.attach),
    Endpoint("DELETE", "/v1/brands/{id}/niches/{niche_id}", "brands.write", brands.detach),
    Endpoint("GET", "/v1/influencers", "influencers.read", influencers.page),
    Endpoint("POST", "/v1/influencers", "influencers.write", influencers.create, most=LARGE),
    Endpoint("GET", "/v1/influencers/{id}", "influencers.read", influencers.find),
    Endpoint("PATCH", "/v1/influencers/{id}", "influencers.write", influencers.update, most=LARGE),
    Endpoint("DELETE", "/v1/influencers/{id}", "influencers.write", influencers.remove),
    Endpoint("POST", "/v1/influencers/{id}/restore", "influencers.write", influencers.restore),
    Endpoint("PUT", "/v1/influencers/{id}/niches/{niche_id}", "influencers.write", influencers.attach),
    Endpoint("DELETE", "/v1/influencers/{id}/niches/{niche_id}", "influencers.write", influencers.detach),
    Endpoint("GET", "/v1/changes", "changes.read", changes.page, refuses=("gone",)),
    Endpoint("GET", "/v1/changes/stream", "changes.read", changes.stream, refuses=("rate_limited",)),
    Endpoint("POST", "/v1/changes/tickets", "changes.read", changes.create_ticket, is_secret=True),
    Endpoint("GET", "/livez", "anyone", probes.live),
    Endpoint("GET", "/readyz", "anyone", probes.ready),
    Endpoint("GET", "/healthz", "operator", operators.report, refuses=("rate_limited",), is_secret=True),
    Endpoint("GET", "/metrics", "operator", operators.metrics, refuses=("rate_limited",), is_secret=True),
    Endpoint("POST", "/v1/sessions", "anyone", sessions.create, is_secret=True,
             refuses=("unauthorized", "tenant_suspended", "rate_limited")),
    Endpoint("GET", "/v1/sessions", "own_sessions", sessions.page),
    Endpoint("DELETE", "/v1/sessions", "own_sessions", sessions.end_others, may_repeat=False),
    Endpoint("GET", "/v1/sessions/current", "own_sessions", sessions.current),
    Endpoint("DELETE", "/v1/sessions/current", "own_sessions", sessions.sign_out, may_repeat=False),
    Endpoint("DELETE", "/v1/sessions/{id}", "own_sessions", sessions.end, may_repeat=False),
    Endpoint("GET", "/v1/keys", "keys.manage", api_keys.page),
    Endpoint("POST", "/v1/keys", "keys.manage", api_keys.create, is_secret=True),
    Endpoint("DELETE", "/v1/keys/{id}", "keys.manage", api_keys.revoke),
    Endpoint("POST", "/v1/otps", "codes.send", otps.create, is_secret=True, may_repeat=False, refuses=("rate_limited",)),
    Endpoint("POST", "/v1/otps/verify", "codes.send", otps.verify, is_secret=True, may_repeat=False, refuses=("rate_limited",)),
    Endpoint("GET", "/v1/tenant", "tenant.read", tenants.find),
    Endpoint("PATCH", "/v1/tenant", "tenant.write", tenants.update, most=LARGE),
    Endpoint("GET", "/v1/users", "users.read", users.page),
    Endpoint("POST", "/v1/users", "users.write", users.create, refuses=("rate_limited",)),
    Endpoint("GET", "/v1/users/{id}", "users.read", users.find),
    Endpoint("PATCH", "/v1/users/{id}", "users.write", users.update),
    Endpoint("DELETE", "/v1/users/{id}", "users.write", users.remove),
    Endpoint("PUT", "/v1/users/{id}/password", "own_password", users.set_password, refuses=("rate_limited",)),
    Endpoint("GET", "/v1/niches", "niches.read", niches.page),
    Endpoint("GET", "/v1/niches/{id}", "niches.read", niches.find),
    Endpoint("GET", "/v1/audit", "audit.read", audit.page),
    Endpoint("GET", "/v1/audit/sign-ins", "audit.read", audit.sign_ins),
    Endpoint("POST", "/v1/seed/niches", "anyone", seed.niches, refuses=("not_found", "rate_limited")),
    Endpoint("GET", "/openapi.json", "anyone", reference.openapi),
    Endpoint("GET", "/docs", "anyone", reference.docs),
)
# fmt: on


def create_app(
    settings: Settings, endpoints: Sequence[Endpoint] = ENDPOINTS, consumers: Sequence[Consumer] = ()
) -> Starlette:
    """The ASGI application. Its lifespan opens the database and refuses to start on an unsafe one.

    `consumers` are handed every commit (changes/consumers.py), beside those of the setting CONSUMERS.
    """
    document = Reference.of(endpoints)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[State]:
        api_keys, watermarks = keyring.of(settings), Watermarks()
        async with (
            Cache.open(settings, watermarks) as cache,
            Database.open(
                settings.address("quarry_app"), settings.limits, schema=settings.database_schema,
                observe=observer(settings), keyring=api_keys, cache=cache if settings.cache_ttl else None,
                greeting=GREETING,
            ) as database,
            Passwords.open() as passwords,
            Limits.open(settings) as limits,
            Upkeep.open(database, settings) as upkeep,
        ):  # fmt: skip
            async with database.connection() as connection:
                await guard.require(connection)
                await guard.require_keys(connection, api_keys)
            handlers = (session_events(), *named(settings), *consumers)
            metrics.appear(
                statuses=answers.STATUS, limits=get_args(LimitName), consumers=[each.name for each in handlers]
            )
            async with (
                Feed.open(settings, database, watermarks, handlers) as feed,
                Replicas.open(settings, database, watermarks) as replicas,
            ):
                health = Health(database, feed, replicas, cache, settings.changes_max_age)
                with told_to_stop(health.leave, feed.close, settings.shutdown_delay):
                    yield State(
                        settings=settings, database=database, passwords=passwords, limits=limits, upkeep=upkeep,
                        quota=Quota(settings.idempotency_keys_per_tenant), shares=Shares(settings.database_pool_max),
                        sender=one_time_codes.sender(settings), watermarks=watermarks, feed=feed,
                        health=health, revision=document.revision,
                    )  # fmt: skip

    app = Starlette(
        routes=_routes(endpoints),
        middleware=[Middleware(RequestId), Middleware(Answered), *edge(settings)],
        exception_handlers={HTTPException: _refused},
        lifespan=lifespan,
    )
    app.state.reference = document
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
    refusal = NotFound("There is nothing at this path; /docs lists what there is.") if status == 404 else Malformed()
    answer = answers.problem(refusal, request.scope["request_id"])
    request.scope["code"] = answer.code
    return answer
