"""How a transaction is bound to its tenant: the text of its first message, and the SET statements sent with COMMIT.

The function app.enter() binds the transaction, and sets the search_path for a tenant with its own schema. Both settings are
transaction-local, as with SET LOCAL, so nothing of them stays on the connection, even behind PgBouncer in transaction mode or
after a cancellation. The call is sent in one message with BEGIN, so a transaction of one statement takes three round trips.
A database such as Citus would need a different binding; only this module would have to be replaced.
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
"""Shown instead of personal data that can't be decrypted. No e-mail address, phone number or reference looks like this."""
IsolationLevel = Literal["read committed", "repeatable read", "serializable"]


@dataclass(frozen=True, slots=True)
class Binding:
    """A connection inside a transaction and the tenant that the transaction is bound to (None: no tenant)."""

    connection: Executor
    tenant: TenantId | None
    keyring: Keyring | None = None
    reading: Reading | None = None
    """The cache, if the transaction is read-only and may use it."""

    def seal(self, plain: str, column: str, row: UUID) -> bytes:
        """Encrypt personal data for a row of the bound tenant; `column` is `<table>.<column>`."""
        keyring, tenant = self._keys()
        return keyring.seal(plain, tenant, row, column)

    def index(self, plain: str, column: str) -> bytes:
        """The blind index of `plain`, by which rows with this value are found."""
        keyring, tenant = self._keys()
        return keyring.index(plain, tenant, column)

    def open(self, value: bytes, column: str, row: UUID) -> str:
        """The plain text of a sealed value. Raises Undecipherable."""
        keyring, tenant = self._keys()
        return keyring.open(value, tenant, row, column)

    def seal_hash(self, hashed: str, user: UUID) -> str:
        """A password hash in the form in which it is stored: sealed, unless the current key is of an earlier release."""
        keyring, tenant = self._keys()
        return keyring.seal_hash(hashed, tenant, user)

    def opened_hash(self, kept: str, user: UUID) -> str:
        """The password hash whose stored form is `kept`. Raises Undecipherable."""
        keyring, tenant = self._keys()
        return keyring.open_hash(kept, tenant, user)

    def open_hash(self, kept: str, user: UUID) -> str | None:
        """Like `opened_hash`, but returns None instead of raising Undecipherable; the failure is logged and counted."""
        try:
            return self.opened_hash(kept, user)
        except Undecipherable:
            self._tell("users.password_hash", user)
            return None

    @property
    def accepts_earlier_forms(self) -> bool:
        """Whether rows without a MAC and unsealed password hashes, as an earlier release stored them, are still accepted."""
        keyring, _ = self._keys()
        return keyring.accepts_earlier_forms

    def mac(self, fields: Iterable[bytes]) -> bytes:
        """The MAC of the `fields` of a row of the bound tenant."""
        keyring, tenant = self._keys()
        return keyring.mac(tenant, fields)

    def verifies(self, mac: bytes | None, fields: Iterable[bytes]) -> bool:
        """Whether `mac` is the MAC of the `fields` of a row of the bound tenant."""
        keyring, tenant = self._keys()
        return keyring.verifies(mac, tenant, fields)

    def authenticates(self, mac: bytes | None, fields: Sequence[bytes], row: UUID | None) -> bool:
        """Whether a token's row has a valid MAC. If not, an error is logged with the kind of token, which is `fields[0]`."""
        if self.verifies(mac, fields):
            return True
        log.error("token_mac_mismatch", kind=fields[0].decode(), row=row and str(row), tenant=str(self.tenant))
        return False

    def shown(self, value: bytes, column: str, row: UUID) -> str:
        """The plain text of a sealed value, or UNDECIPHERABLE if it can't be decrypted. The failure is logged and counted.

        It does not raise an error, because one value whose key is missing, or that somebody has changed, must not make the other
        values unreadable.
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
    """The message that opens a transaction and binds it; `statement_timeout` is in seconds; None keeps that of the role."""
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
    """The SET statements that are sent in one message with COMMIT, so that the log records who made the commit."""
    if actor is None:
        return ""
    text = f"SET LOCAL app.actor_id = '{actor.user_id}';"
    if actor.session_id is not None:
        text += f"SET LOCAL app.session_id = '{actor.session_id}';"
    return text
