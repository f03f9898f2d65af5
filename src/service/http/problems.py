"""Lists the errors that an endpoint can answer with, for the OpenAPI document. They follow from the endpoint's declaration."""

from __future__ import annotations

from typing import Any

from service.http.answers import STATUS
from service.http.endpoints import Endpoint

_ALWAYS = ("internal", "unavailable", "timeout")
_OF_CALLERS = ("unauthorized", "session_expired", "forbidden", "tenant_suspended", "rate_limited")
_OF_BODIES = ("malformed", "too_large", "unsupported_media_type", "invalid_input")
_OF_WRITES = ("conflict", "in_use", "read_only", "commit_unknown")
_OF_KEYS = ("malformed", "in_progress", "key_reused")


def codes_of(endpoint: Endpoint) -> list[str]:
    """The error codes that the endpoint can answer with, ordered by HTTP status."""
    codes: list[str] = [*_ALWAYS]
    if endpoint.permission != "anyone":
        codes += _OF_CALLERS
        if endpoint.method == "GET":
            # A read can have the header Consistency, which can be malformed.
            codes.append("malformed")
    if "{" in endpoint.path:
        codes.append("not_found")
    if endpoint.contract.body is not None:
        codes += _OF_BODIES
    if endpoint.contract.query is not None:
        codes.append("invalid_input")
    if endpoint.contract.has_precondition:
        codes += ("precondition_required", "stale_version")
    if endpoint.method != "GET":
        codes += _OF_WRITES
    if endpoint.is_idempotent:
        codes += _OF_KEYS
    return sorted({*codes, *endpoint.refuses}, key=lambda code: (STATUS[code], code))


def problems(endpoint: Endpoint) -> dict[str, Any]:
    """The error answers of an endpoint for the OpenAPI document: a mapping from HTTP status to response object."""
    by_status: dict[int, list[str]] = {}
    for code in codes_of(endpoint):
        by_status.setdefault(STATUS[code], []).append(code)
    # The readiness probe answers 503 with a JSON object that lists the failing checks, not with a problem document.
    others = {"application/json": {"schema": {"type": "object"}}} if endpoint.has_own_failure else {}
    return {
        str(status): {
            "description": " or ".join(f"`{code}`" for code in codes),
            "headers": {"Request-Id": {"$ref": "#/components/headers/Request-Id"}},
            "content": {
                "application/problem+json": {
                    "schema": {
                        "allOf": [
                            {"$ref": "#/components/schemas/Problem"},
                            {"type": "object", "properties": {"code": {"enum": codes}}},
                        ]
                    }
                },
                **(others if status == STATUS["unavailable"] else {}),
            },
        }
        for status, codes in by_status.items()
    }


PROBLEM: dict[str, Any] = {
    "type": "object",
    "title": "Problem",
    "description": "An error (RFC 9457).",
    "required": ["type", "title", "status", "code", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": sorted(STATUS)},
        "detail": {"type": "string"},
        "request_id": {"type": "string"},
        "field": {"type": "string", "description": "The field whose value is taken."},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "message"],
                "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
