"""SQLAlchemy's side: the mapped classes, the engine, and the three statements as its ORM writes them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, Select, func, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from bench.installation import CONNECTION, POOL


class Base(DeclarativeBase):
    """Every time is one with a zone."""

    type_annotation_map = {datetime: DateTime(timezone=True), bytes: LargeBinary}  # noqa: RUF012


class Campaign(Base):
    """The thirteen columns that Quarry answers; what only the predicates use is not loaded."""

    __tablename__ = "campaigns"

    tenant_id: Mapped[UUID] = mapped_column(deferred=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    status: Mapped[str]
    owner_id: Mapped[UUID]
    brand_id: Mapped[UUID | None]
    budget_minor: Mapped[int]
    currency: Mapped[str]
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    version: Mapped[int]
    deleted_at: Mapped[datetime | None] = mapped_column(deferred=True)


class Tenant(Base):
    """What the session lookup needs of a tenant."""

    __tablename__ = "tenants"
    __table_args__ = {"schema": "app"}  # noqa: RUF012

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]


class User(Base):
    """What the session lookup needs of a user."""

    __tablename__ = "users"

    tenant_id: Mapped[UUID]
    id: Mapped[UUID] = mapped_column(primary_key=True)
    role: Mapped[str]
    is_active: Mapped[bool]
    deleted_at: Mapped[datetime | None]


class Session(Base):
    """What the session lookup needs of a session."""

    __tablename__ = "sessions"

    tenant_id: Mapped[UUID]
    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID]
    token_hash: Mapped[bytes]
    expires_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


def find(tenant: UUID, id: UUID) -> Select[tuple[Campaign]]:
    """campaigns.find"""
    return select(Campaign).where(Campaign.tenant_id == tenant, Campaign.id == id, Campaign.deleted_at.is_(None))


def page(tenant: UUID, limit: int) -> Select[tuple[Campaign]]:
    """campaigns.page without filters"""
    return (
        select(Campaign)
        .where(Campaign.tenant_id == tenant, Campaign.deleted_at.is_(None))
        .order_by(Campaign.created_at.desc(), Campaign.id.desc())
        .limit(limit)
    )


def authenticate(
    tenant_id: UUID, token_hash: bytes, idle: timedelta, seen_every: timedelta
) -> Select[tuple[UUID, UUID, str, bool, str, bool, bool]]:
    """sessions.authenticate: columns, as no entity is needed"""
    return (
        select(
            Session.id.label("session_id"),
            Session.user_id,
            User.role,
            User.is_active,
            Tenant.status.label("tenant_status"),
            ((Session.expires_at <= func.now()) | (Session.last_seen_at <= func.now() - idle)).label("is_expired"),
            (Session.last_seen_at < func.now() - seen_every).label("is_unseen"),
        )
        .join(User, (User.tenant_id == Session.tenant_id) & (User.id == Session.user_id))
        .join(Tenant, Tenant.id == Session.tenant_id)
        .where(
            Session.tenant_id == tenant_id,
            User.tenant_id == tenant_id,
            Tenant.id == tenant_id,
            Session.token_hash == token_hash,
            Session.revoked_at.is_(None),
            User.deleted_at.is_(None),
        )
    )


def binding(tenant: UUID) -> Select[tuple[str]]:
    """Binds the transaction to its tenant."""
    return select(func.set_config("app.tenant_id", str(tenant), True))


def engine(url: str) -> AsyncEngine:
    """An engine whose pool is like everybody's. Its dialect takes no `sslmode` out of the address."""
    plain = url.partition("?")[0]
    return create_async_engine(
        plain.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=POOL,
        max_overflow=0,
        connect_args={"ssl": False, **CONNECTION},
    )
