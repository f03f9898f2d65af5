"""The same two endpoints, written as each tool is used: a connection's way to rows is all that differs.

All of them look up the session first, inside the transaction that is bound to the tenant, and answer the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any, get_type_hints
from uuid import UUID

import aiosql
import asyncpg
from pydantic import ConfigDict, TypeAdapter, create_model
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from typing_extensions import TypedDict

from bench import tables
from bench.installation import CONNECTION, POOL, settings_of
from bench.texts import AUTHENTICATE, BEGIN, FIND, LIST, PAGE
from service import logs
from service.accounts import tokens
from service.accounts.tokens import Token
from service.api.app import create_app

Endpoint = Callable[[Request], Awaitable[Response]]

_IDLE, _SEEN_EVERY = timedelta(days=1), timedelta(minutes=1)


class Shape(TypedDict):
    """A campaign's JSON, for records: rendered without being validated, since the database has done that."""

    id: UUID
    name: str
    description: str | None
    status: str
    owner_id: UUID
    brand_id: UUID | None
    budget_minor: int
    currency: str
    starts_on: date | None
    ends_on: date | None
    created_at: datetime
    updated_at: datetime
    version: int


View: Any = create_model(
    "View",
    __config__=ConfigDict(from_attributes=True),
    **{name: (hint, ...) for name, hint in get_type_hints(Shape).items()},
)
"""The same for mapped objects: pydantic reads their attributes."""

_ONE, _MANY = TypeAdapter(Shape), TypeAdapter(list[Shape])
_ONE_VIEW, _MANY_VIEWS = TypeAdapter(View), TypeAdapter(list[View])


def quarry(url: str) -> Starlette:
    """Quarry as it serves in production, with its log lines and metrics."""
    settings = settings_of({"database_url": url})
    logs.configure(settings)
    return create_app(settings)


def handwritten(url: str) -> Starlette:
    """asyncpg by hand in three round trips per transaction and one statement; the mark to be measured by."""

    async def find(request: Request) -> Response:
        token, id = _token(request), UUID(request.path_params["id"])
        async with _bound(request, token) as connection:
            _admit(await connection.fetchrow(AUTHENTICATE.sql, *AUTHENTICATE.values(**_lookup(token))))
            record = await connection.fetchrow(FIND.sql, *FIND.values(tenant_id=token.tenant, id=id))
        return _entity(record)

    async def page(request: Request) -> Response:
        token, limit = _token(request), _limit(request)
        async with _bound(request, token) as connection:
            _admit(await connection.fetchrow(AUTHENTICATE.sql, *AUTHENTICATE.values(**_lookup(token))))
            records = await connection.fetch(PAGE.sql, *PAGE.values(tenant_id=token.tenant, limit=limit + 1))
        return _list(records, limit)

    return _app(find, page, lambda: _pool(url))


def on_aiosql(url: str) -> Starlette:
    """The handwritten one with aiosql between it and asyncpg."""
    queries = aiosql_queries()

    async def find(request: Request) -> Response:
        token, id = _token(request), UUID(request.path_params["id"])
        async with _bound(request, token) as connection:
            _admit(await queries.authenticate(connection, **_lookup(token)))
            record = await queries.find(connection, tenant_id=token.tenant, id=id)
        return _entity(record)

    async def page(request: Request) -> Response:
        token, limit = _token(request), _limit(request)
        async with _bound(request, token) as connection:
            _admit(await queries.authenticate(connection, **_lookup(token)))
            records = [row async for row in queries.page(connection, tenant_id=token.tenant, limit=limit + 1)]
        return _list(records, limit)

    return _app(find, page, lambda: _pool(url))


def on_sqlalchemy(url: str) -> Starlette:
    """SQLAlchemy's asynchronous ORM as its manual shows it: a session per request, entities out of it."""

    async def find(request: Request) -> Response:
        token, id = _token(request), UUID(request.path_params["id"])
        async with _session(request, token) as session:
            campaign = await session.scalar(tables.find(token.tenant, id))
        if campaign is None:
            raise HTTPException(404)
        return _json(_ONE_VIEW.dump_json(_ONE_VIEW.validate_python(campaign)))

    async def page(request: Request) -> Response:
        token, limit = _token(request), _limit(request)
        async with _session(request, token) as session:
            rows = (await session.scalars(tables.page(token.tenant, limit + 1))).all()
        shown = rows[:limit]
        following = _cursor(shown[-1].created_at, shown[-1].id) if len(rows) > limit else b"null"
        items = _MANY_VIEWS.dump_json(_MANY_VIEWS.validate_python(shown))
        return _json(b'{"items":' + items + b',"next":' + following + b"}")

    @asynccontextmanager
    async def resource() -> AsyncIterator[async_sessionmaker[AsyncSession]]:
        engine = tables.engine(url)
        yield async_sessionmaker(engine, expire_on_commit=False)
        await engine.dispose()

    return _app(find, page, resource)


APPLICATIONS: dict[str, Callable[[str], Starlette]] = {
    "quarry": quarry,
    "handwritten": handwritten,
    "aiosql": on_aiosql,
    "sqlalchemy": on_sqlalchemy,
}


def aiosql_queries() -> Any:
    """The three statements as aiosql loads them."""
    texts = (("authenticate^", AUTHENTICATE), ("find^", FIND), ("page", PAGE))
    text = "\n".join(f"-- name: {name}\n{text.named()};\n" for name, text in texts)
    return aiosql.from_str(text, "asyncpg", mandatory_parameters=False)


class PlainConnection(asyncpg.Connection):
    """No reset query on release: nothing here outlives its transaction."""

    def get_reset_query(self) -> str:
        """Nothing."""
        return ""


def _pool(url: str) -> Any:
    return asyncpg.create_pool(url, min_size=POOL, max_size=POOL, connection_class=PlainConnection, **CONNECTION)


def _app(find: Endpoint, page: Endpoint, resource: Callable[[], Any]) -> Starlette:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with resource() as opened:
            yield {"database": opened}

    return Starlette(routes=[Route("/v1/campaigns", page), Route("/v1/campaigns/{id}", find)], lifespan=lifespan)


@asynccontextmanager
async def _bound(request: Request, token: Token) -> AsyncIterator[Any]:
    async with request.state.database.acquire() as connection:
        await connection.execute(BEGIN.format(token.tenant))
        try:
            yield connection
        except BaseException:
            await connection.execute("ROLLBACK")
            raise
        await connection.execute("COMMIT")


@asynccontextmanager
async def _session(request: Request, token: Token) -> AsyncIterator[AsyncSession]:
    async with request.state.database() as session, session.begin():
        await session.execute(tables.binding(token.tenant))
        _admit((await session.execute(tables.authenticate(**_lookup(token)))).mappings().one_or_none())
        yield session


def _token(request: Request) -> Token:
    token = tokens.read(request.headers.get("authorization", "").removeprefix("Bearer "))
    if token is None:
        raise HTTPException(401)
    return token


def _lookup(token: Token) -> dict[str, Any]:
    return {"tenant_id": token.tenant, "token_hash": token.hash, "idle": _IDLE, "seen_every": _SEEN_EVERY}


def _admit(bearer: Any) -> None:
    if bearer is None or not bearer["is_active"] or bearer["is_expired"]:
        raise HTTPException(401)
    if bearer["tenant_status"] != "active" or bearer["role"] not in ("owner", "admin", "member", "viewer"):
        raise HTTPException(403)


def _limit(request: Request) -> int:
    limit = int(request.query_params.get("limit", LIST))
    if not 1 <= limit <= 200:
        raise HTTPException(422)
    return limit


def _entity(record: Any) -> Response:
    if record is None:
        raise HTTPException(404)
    return _json(_ONE.dump_json(dict(record)))


def _list(records: list[Any], limit: int) -> Response:
    shown = [dict(record) for record in records[:limit]]
    following = _cursor(shown[-1]["created_at"], shown[-1]["id"]) if len(records) > limit else b"null"
    return _json(b'{"items":' + _MANY.dump_json(shown) + b',"next":' + following + b"}")


def _cursor(created_at: datetime, id: UUID) -> bytes:
    microseconds = round(created_at.timestamp() * 1_000_000)
    return b'"' + base64.urlsafe_b64encode(microseconds.to_bytes(8, "big", signed=True) + id.bytes) + b'"'


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")
