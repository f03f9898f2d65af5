"""Tenants, users and their tokens for tests, made through the repositories."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from service.accounts import tokens
from service.database.database import Database
from service.engine import EngineWork
from service.repos.users import User
from service.tenancy.identity import TenantId

OWN_SCHEMAS = tuple(f"own_{n}" for n in range(int(os.environ.get("TEST_SCHEMAS", "0"))))
"""Schemas that every test's database has, one for each tenant that it makes: `make test-schemas`."""
PASSWORD = "a long password"
PASSWORD_HASH = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$doZHeWGNYqsxQ03/8Z6fx70X20Qbv4yyhmJshM5AghE"
"""Of PASSWORD, at the least cost that argon2 allows."""


@dataclass(frozen=True)
class NewTenant:
    """A tenant with its first owner."""

    id: TenantId
    domain: str
    owner: User
    password_hash: str
    """The owner's, as the database keeps it."""


class Accounts:
    """Makes tenants, users and sessions with sensible values; whatever matters to a test is given."""

    def __init__(self, database: Database, platform: Database) -> None:
        self.database = database
        self.platform = platform
        self._numbers = itertools.count(1)

    async def tenant(self, name: str, *, schema: str | None = None) -> NewTenant:
        """With a `schema` of its own, which is there; else with the next one of OWN_SCHEMAS, if any."""
        async with EngineWork(self.platform, None) as work:
            tenant = await work.tenants.create(name=name.capitalize(), domain=f"{name}.example")
            if OWN_SCHEMAS and schema is None:
                taken = {each.name for each in await work.tenants.schemas()}
                schema = next((each for each in OWN_SCHEMAS if each not in taken), None)
            if schema is not None:
                await work.tenants.give_schema(tenant=tenant.id, name=schema)
        id = TenantId(tenant.id)
        keys, owner_id = self.database.keyring, uuid4()
        assert keys is not None
        kept = keys.seal_hash(PASSWORD_HASH, id, owner_id)
        owner = await self.user(id, id=owner_id, email=f"owner@{name}.example", role="owner", password_hash=kept)
        return NewTenant(id, tenant.domain, owner, kept)

    async def user(self, tenant: TenantId, **values: Any) -> User:
        given = {"email": "user@example.com", "display_name": "A user", "password_hash": PASSWORD_HASH, **values}
        async with EngineWork(self.database, tenant) as work:
            id = given.setdefault("id", uuid4())
            if not given["password_hash"].startswith("sealed:"):
                given["password_hash"] = work.binding.seal_hash(given["password_hash"], id)
            return await work.users.create(**given)

    async def token(
        self, tenant: NewTenant, user: User | None = None, *, lifetime: timedelta = timedelta(hours=1)
    ) -> str:
        """A session of the owner, or of `user`, as the bearer token that opens it."""
        text, token = tokens.issue(tenant.id)
        async with EngineWork(self.database, tenant.id) as work:
            who = user or tenant.owner
            hashed = (await work.users.credentials(who.id)).password_hash
            session = await work.sessions.create(
                user_id=who.id, password_hash=hashed, token_hash=token.hash,
                token_mac=work.binding.mac(tokens.session_fields(token.hash, who.id)), ip=None, user_agent="tests",
                lifetime=lifetime,
            )  # fmt: skip
        assert session is not None
        return text
