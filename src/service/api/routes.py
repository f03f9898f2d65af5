"""The list of all routes. Each has a method, a path, the permission that a caller needs, a handler, and further properties."""

from __future__ import annotations

from collections.abc import Sequence

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
from service.http import reference
from service.http.endpoints import LARGE, Endpoint, Resource

ENDPOINTS: Sequence[Endpoint] = (
    # Creator marketing. Routes are tried in this order, so those that are requested most come first.
    Endpoint("GET", "/v1/campaigns", "campaigns.read", campaigns.page),
    Endpoint("POST", "/v1/campaigns", "campaigns.write", campaigns.create, most=LARGE),
    Endpoint("GET", "/v1/campaigns/{id}", "campaigns.read", campaigns.find),
    Endpoint("PATCH", "/v1/campaigns/{id}", "campaigns.write", campaigns.update, most=LARGE),
    Endpoint("DELETE", "/v1/campaigns/{id}", "campaigns.write", campaigns.remove),
    Endpoint(
        "POST",
        "/v1/campaigns/{id}/restore",
        "campaigns.write",
        campaigns.restore,
        refuses=("invalid_input",),
        heading="campaigns",
    ),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/contents", "campaigns.read", contents.page),
    Endpoint("POST", "/v1/campaigns/{campaign_id}/contents", "campaigns.write", contents.create, most=LARGE),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.read", contents.find),
    Endpoint("PATCH", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.write", contents.update, most=LARGE),
    Endpoint("DELETE", "/v1/campaigns/{campaign_id}/contents/{id}", "campaigns.write", contents.remove),
    Endpoint(
        "POST",
        "/v1/campaigns/{campaign_id}/contents/{id}/restore",
        "campaigns.write",
        contents.restore,
        heading="contents",
    ),
    Endpoint("GET", "/v1/campaigns/{campaign_id}/influencers", "campaigns.read", campaign_influencers.page),
    Endpoint(
        "PUT", "/v1/campaigns/{campaign_id}/influencers/{influencer_id}", "campaigns.write", campaign_influencers.put
    ),
    Endpoint(
        "DELETE",
        "/v1/campaigns/{campaign_id}/influencers/{influencer_id}",
        "campaigns.write",
        campaign_influencers.remove,
    ),
    Endpoint("GET", "/v1/brands", "brands.read", brands.page),
    Endpoint("POST", "/v1/brands", "brands.write", brands.create, most=LARGE),
    Endpoint("GET", "/v1/brands/{id}", "brands.read", brands.find),
    Endpoint("PATCH", "/v1/brands/{id}", "brands.write", brands.update, most=LARGE),
    Endpoint("DELETE", "/v1/brands/{id}", "brands.write", brands.remove),
    Endpoint("POST", "/v1/brands/{id}/restore", "brands.write", brands.restore, heading="brands"),
    Endpoint("PUT", "/v1/brands/{id}/niches/{niche_id}", "brands.write", brands.attach),
    Endpoint("DELETE", "/v1/brands/{id}/niches/{niche_id}", "brands.write", brands.detach),
    Endpoint("GET", "/v1/influencers", "influencers.read", influencers.page),
    Endpoint("POST", "/v1/influencers", "influencers.write", influencers.create, most=LARGE),
    Endpoint("GET", "/v1/influencers/{id}", "influencers.read", influencers.find),
    Endpoint("PATCH", "/v1/influencers/{id}", "influencers.write", influencers.update, most=LARGE),
    Endpoint("DELETE", "/v1/influencers/{id}", "influencers.write", influencers.remove),
    Endpoint("POST", "/v1/influencers/{id}/restore", "influencers.write", influencers.restore, heading="influencers"),
    Endpoint("PUT", "/v1/influencers/{id}/niches/{niche_id}", "influencers.write", influencers.attach),
    Endpoint("DELETE", "/v1/influencers/{id}/niches/{niche_id}", "influencers.write", influencers.detach),
    Endpoint(
        "POST", "/v1/otps", "codes.send", otps.create, is_secret=True, may_repeat=False, refuses=("rate_limited",)
    ),
    Endpoint(
        "POST",
        "/v1/otps/verify",
        "codes.send",
        otps.verify,
        is_secret=True,
        may_repeat=False,
        refuses=("rate_limited",),
        heading="otps",
    ),
    Endpoint("GET", "/v1/niches", "niches.read", niches.page),
    Endpoint("GET", "/v1/niches/{id}", "niches.read", niches.find),
    Endpoint("POST", "/v1/seed/niches", "anyone", seed.niches, refuses=("not_found", "rate_limited"), is_shared=True),
    # Routes that do not depend on the domain: a service for another domain keeps them.
    Endpoint("GET", "/v1/changes", "changes.read", changes.page, refuses=("gone",)),
    Endpoint("GET", "/v1/changes/stream", "changes.read", changes.stream, refuses=("rate_limited",)),
    Endpoint("POST", "/v1/changes/tickets", "changes.read", changes.create_ticket, is_secret=True),
    Endpoint("GET", "/livez", "anyone", probes.live),
    Endpoint("GET", "/readyz", "anyone", probes.ready, has_own_failure=True),
    Endpoint("GET", "/healthz", "operator", operators.report, refuses=("rate_limited",), is_secret=True),
    Endpoint("GET", "/metrics", "operator", operators.metrics, refuses=("rate_limited",), is_secret=True),
    Endpoint(
        "POST",
        "/v1/sessions",
        "anyone",
        sessions.create,
        is_secret=True,
        refuses=("unauthorized", "tenant_suspended", "rate_limited"),
    ),
    Endpoint("GET", "/v1/sessions", "own_sessions", sessions.page),
    Endpoint("DELETE", "/v1/sessions", "own_sessions", sessions.end_others, may_repeat=False),
    Endpoint("GET", "/v1/sessions/current", "own_sessions", sessions.current, heading="sessions"),
    Endpoint("DELETE", "/v1/sessions/current", "own_sessions", sessions.sign_out, may_repeat=False, heading="sessions"),
    Endpoint("DELETE", "/v1/sessions/{id}", "own_sessions", sessions.end, may_repeat=False),
    Endpoint("GET", "/v1/keys", "keys.manage", api_keys.page),
    Endpoint("POST", "/v1/keys", "keys.manage", api_keys.create, is_secret=True),
    Endpoint("DELETE", "/v1/keys/{id}", "keys.manage", api_keys.revoke),
    Endpoint("GET", "/v1/tenant", "tenant.read", tenants.find),
    Endpoint("PATCH", "/v1/tenant", "tenant.write", tenants.update, most=LARGE),
    Endpoint("GET", "/v1/users", "users.read", users.page),
    Endpoint("POST", "/v1/users", "users.write", users.create, refuses=("rate_limited",)),
    Endpoint("GET", "/v1/users/{id}", "users.read", users.find),
    Endpoint("PATCH", "/v1/users/{id}", "users.write", users.update),
    Endpoint("DELETE", "/v1/users/{id}", "users.write", users.remove),
    Endpoint(
        "PUT", "/v1/users/{id}/password", "own_password", users.set_password, refuses=("rate_limited",), heading="users"
    ),
    Endpoint("GET", "/v1/audit", "audit.read", audit.page),
    Endpoint("GET", "/v1/audit/sign-ins", "audit.read", audit.sign_ins, heading="audit"),
    Endpoint("GET", "/openapi.json", "anyone", reference.openapi),
    Endpoint("GET", "/docs", "anyone", reference.docs),
)
# fmt: on


def by_handler() -> dict[str, str]:
    """Maps the full name of each handler function to its method and path, for the report of `quarry sql report`.

    `Resource._answer`, which calls all handlers, is mapped to "every request".
    """
    served = {f"{each.handler.__module__}.{each.handler.__name__}": f"{each.method} {each.path}" for each in ENDPOINTS}
    return {**served, f"{Resource.__module__}.{Resource.__name__}._answer": "every request"}
