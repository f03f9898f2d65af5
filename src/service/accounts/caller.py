"""Callers (the users and programs that send requests), and the checks whether a caller is admitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.accounts import tokens
from service.accounts.permissions import ROLES, Permission, allows, is_for_people
from service.accounts.tokens import Token
from service.errors import Forbidden, SessionExpired, TenantSuspended, Unauthorized
from service.repos.api_keys import KeyBearer
from service.repos.sessions import Bearer
from service.repos.users import Role
from service.tenancy.binding import Binding
from service.tenancy.identity import TenantId


@dataclass(frozen=True)
class Caller:
    """The caller of a request: a person with a session, or a program with an API key.

    `id` is the id of the user or of the API key. `user_id` is the id of the user; for a key, of the user who created the key.
    `session_id` is None for a key. `expires_at` is the time when the session or key expires.
    """

    tenant: TenantId
    id: UUID
    user_id: UUID
    session_id: UUID | None
    role: Role
    expires_at: datetime | None = None


def is_authentic(binding: Binding, token: Token, bearer: Bearer | KeyBearer) -> bool:
    """Whether the service itself has written `bearer`, the row of the token's session or API key, as its MAC shows.

    Rows that an earlier release has written have no MAC. They count as authentic while `Binding.accepts_earlier_forms` is true.
    """
    if isinstance(bearer, Bearer):
        fields = tokens.session_fields(token.hash, bearer.user_id)
        return binding.authenticates(bearer.token_mac, fields, bearer.session_id)
    fields = tokens.key_fields(token.hash, bearer.user_id, bearer.role)
    return binding.authenticates(bearer.key_mac, fields, bearer.key_id)


def admit(token: Token, bearer: Bearer | KeyBearer | None, permission: Permission) -> Caller:
    """The caller, if `bearer`, the row of the token's session or API key (None if there is none), is valid and has `permission`.

    Otherwise raises Unauthorized, SessionExpired, TenantSuspended or Forbidden.
    """
    if bearer is None or (isinstance(bearer, Bearer) and not bearer.is_active):
        raise Unauthorized
    is_person = isinstance(bearer, Bearer)
    if bearer.is_expired:
        raise SessionExpired(None if is_person else "The key has expired.")
    if bearer.tenant_status != "active":
        raise TenantSuspended
    # A key has its own role or the present role of the user who created it, whichever is weaker.
    roles: list[Role] = [bearer.role] if isinstance(bearer, Bearer) else [bearer.role, bearer.maker_role]
    role = min(roles, key=ROLES.index)
    if not allows(role, permission) or (is_for_people(permission) and not is_person):
        raise Forbidden
    if isinstance(bearer, Bearer):
        return Caller(token.tenant, bearer.user_id, bearer.user_id, bearer.session_id, role, bearer.expires_at)
    return Caller(token.tenant, bearer.key_id, bearer.user_id, None, role, bearer.expires_at)
