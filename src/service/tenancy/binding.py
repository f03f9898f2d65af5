"""How a transaction gets its tenant: the text of its first message, and of the words that go before COMMIT.

Binding is transaction-local, as SET LOCAL is, so that nothing is left behind on the connection, also behind PgBouncer in
transaction mode and after a cancellation. app.enter() does it, and sets the search_path of a tenant with its own schema. It is
sent in one message with BEGIN: three round trips for a transaction of one statement. Citus needs a binder of its own; it would
replace this module alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

import structlog

from service.cache.cache import Reading
from service.database.lazy_connection import Executor
from service.errors import TenantUnbound
from service.metrics import UNDECIPHERABLE as UNDECIPHERED
from service.personal.keyring import Keyring, Undecipherable
from service.tenancy.identity import Actor, Origin, TenantId, as_uuid

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.binding")

UNDECIPHERABLE = "[undecipherable]"
"""What stands for personal data that can't be opened; no address, number or reference looks like it."""
IsolationLevel = Literal["read committed", "repeatable read", "serializable"]


@dataclass(frozen=True, slots=True)
class Binding:
    """A connection inside a transaction and the tenant that the transaction is bound to (None: no tenant)."""

    connection: Executor
    tenant: TenantId | None
    keyring: Keyring | None = None
    reading: Reading | None = None
    """The cache, for work that can't have written anything."""

    def seal(self, plain: str, column: str, row: UUID) -> bytes:
        """Personal data of a row of the bound tenant as the database keeps it; `column` is `<table>.<column>`."""
        keyring, tenant = self._keys()
        return keyring.seal(plain, tenant, row, column)

    def index(self, plain: str, column: str) -> bytes:
        """The blind index that finds it."""
        keyring, tenant = self._keys()
        return keyring.index(plain, tenant, column)

    def open(self, value: bytes, column: str, row: UUID) -> str:
        """The plain text of a sealed value. Raises Undecipherable."""
        keyring, tenant = self._keys()
        return keyring.open(value, tenant, row, column)

    def seal_hash(self, hashed: str, user: UUID) -> str:
        """The hash of a user's password as the database keeps it."""
        keyring, tenant = self._keys()
        return keyring.seal_hash(hashed, tenant, user)

    def opened_hash(self, kept: str, user: UUID) -> str:
        """The hash of a user's password. Raises Undecipherable."""
        keyring, tenant = self._keys()
        return keyring.open_hash(kept, tenant, user)

    def open_hash(self, kept: str, user: UUID) -> str | None:
        """The hash of a user's password; None, logged and counted, where its key is gone or it was not written with one."""
        try:
            return self.opened_hash(kept, user)
        except Undecipherable:
            self._tell("users.password_hash", user)
            return None

    @property
    def accepts_earlier_forms(self) -> bool:
        """Whether values stored by an earlier release, which are bound to less, are still accepted."""
        keyring, _ = self._keys()
        return keyring.accepts_earlier_forms

    def mac(self, fields: Iterable[bytes]) -> bytes:
        """The MAC of what a row of the bound tenant says."""
        keyring, tenant = self._keys()
        return keyring.mac(tenant, fields)

    def verifies(self, mac: bytes | None, fields: Iterable[bytes]) -> bool:
        """Whether this is the MAC of what a row of the bound tenant says."""
        keyring, tenant = self._keys()
        return keyring.verifies(mac, tenant, fields)

    def authenticates(self, mac: bytes | None, fields: Sequence[bytes], row: UUID | None) -> bool:
        """Whether a token's row has a valid MAC; one that has not is logged by the kind of its token, `fields[0]`."""
        if self.verifies(mac, fields):
            return True
        log.error("token_mac_mismatch", kind=fields[0].decode(), row=row and str(row), tenant=str(self.tenant))
        return False

    def shown(self, value: bytes, column: str, row: UUID) -> str:
        """The plain text of a sealed value, or UNDECIPHERABLE in its place, which is logged and counted.

        One value that can't be opened (its key is gone, or somebody has changed it) must not hide all the others.
        """
        try:
            return self.open(value, column, row)
        except Undecipherable:
            self._tell(column, row)
            return UNDECIPHERABLE

    def _tell(self, column: str, row: UUID) -> None:
        UNDECIPHERED.inc()
        log.error("undecipherable", column=column, row=str(row), tenant=str(self.tenant))

    def _keys(self) -> tuple[Keyring, TenantId]:
        if self.keyring is None or self.tenant is None:
            raise TenantUnbound("Personal data needs a tenant and the keys, and this work does not have both.")
        return self.keyring, self.tenant


def begin(
    tenant: TenantId | None,
    origin: Origin,
    *,
    read_only: bool,
    isolation: IsolationLevel,
    statement_timeout: float | None,
) -> str:
    """The message that opens a transaction and binds it; `statement_timeout` in seconds, None for the role's own."""
    parts = [f"BEGIN ISOLATION LEVEL {isolation.upper()}{' READ ONLY' if read_only else ''}"]
    if tenant is not None:
        parts.append(f"SELECT app.enter('{as_uuid(tenant)}')")
    if statement_timeout is not None:
        parts.append(f"SET LOCAL statement_timeout = {max(1, int(statement_timeout * 1000))}")
    if origin.ip is not None and not read_only:
        parts.append(f"SET LOCAL app.ip = '{origin.ip}'")
    if origin.request_id is not None and not read_only:
        parts.append(f"SET LOCAL app.request_id = '{origin.request_id}'")
    return ";".join(parts)


def attribution(actor: Actor | None) -> str:
    """What goes in one message with COMMIT, so that the log's row of this commit says who did it."""
    if actor is None:
        return ""
    text = f"SET LOCAL app.actor_id = '{actor.user_id}';"
    if actor.session_id is not None:
        text += f"SET LOCAL app.session_id = '{actor.session_id}';"
    return text
