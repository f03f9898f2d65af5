"""Events of sessions (created, expired, revoked), derived from the logged changes of the table `sessions`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

import structlog

from service.changes.consumers import Consumer
from service.engine import EngineWork
from service.metrics import SESSION_EVENTS
from service.repos.log import LoggedCommit
from service.tenancy.identity import TenantId

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.sessions")


@dataclass(frozen=True)
class SessionEvent:
    """A session was created, has expired or was revoked (`kind`). `at` is the time of the commit that recorded this."""

    kind: Literal["created", "expired", "revoked"]
    tenant: TenantId
    session_id: UUID
    at: datetime


async def logged(event: SessionEvent) -> None:
    """Write a line about the event to the log of the process (not of commits), and count the event in a metric."""
    SESSION_EVENTS.labels(event=event.kind).inc()
    log.info("session", kind=event.kind, tenant=str(event.tenant), session=str(event.session_id))


def session_events(
    handle: Callable[[SessionEvent], Awaitable[None]] = logged, name: str = "session_events"
) -> Consumer:
    """A consumer that calls `handle` for every event of every session, at least once. Events that a reset skips are lost."""

    async def tell(work: EngineWork, commits: Sequence[LoggedCommit]) -> None:
        if work.tenant is None:
            return
        for commit in commits:
            for event in _events(work.tenant, commit):
                await handle(event)

    return Consumer(name, tell)


def _events(tenant: TenantId, commit: LoggedCommit) -> Iterator[SessionEvent]:
    for table, operation, row, columns in commit.changes:
        if table != "sessions":
            continue
        if operation == "insert":
            yield SessionEvent("created", tenant, row, commit.at)
        elif "revoked_at" in (columns or ()):
            yield SessionEvent("revoked", tenant, row, commit.at)
        elif "expired_at" in (columns or ()):
            yield SessionEvent("expired", tenant, row, commit.at)
