"""Binds a transaction to its tenant: makes the message that begins the transaction, and the SET statements sent with COMMIT.

The SQL function app.enter() sets app.tenant_id, and for a tenant with its own schema also the search_path. Both settings end with
the transaction, as with SET LOCAL. So they never remain on a pooled connection, even behind PgBouncer in transaction mode or
after a cancellation. The function is called in one message with BEGIN, so a transaction with one statement takes three round
trips. For a database that needs another way of binding, such as Citus, only this module would have to be replaced.
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
from service.tenancy.direct import DirectReads
from service.tenancy.identity import Actor, Origin, TenantId, as_uuid

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.binding")

UNDECIPHERABLE = "[undecipherable]"
"""Shown instead of a personal value that can't be decrypted. It can't be mistaken for an e-mail address or a phone number."""
IsolationLevel = Literal["read committed", "repeatable read", "serializable"]


@dataclass(frozen=True, slots=True)
class Binding:
    """What repositories run on: a connection, the tenant to which it is bound (None: no tenant), the keys of personal data."""

    connection: Executor
    tenant: TenantId | None
    keyring: Keyring | None = None
    reading: Reading | None = None
    """The transaction's access to the cache; None if the transaction may not use the cache."""
    direct: DirectReads | None = None
    """Sends reads without a transaction; None if all statements run in one."""

    def seal(self, plain: str, column: str, row: UUID) -> bytes:
        """Encrypt the personal value `plain` for a row of the bound tenant; `column` is written `<table>.<column>`."""
        keyring, tenant = self._keys()
        return keyring.seal(plain, tenant, row, column)

    def index(self, plain: str, column: str) -> bytes:
        """The blind index of the personal value `plain`, by which rows of the bound tenant with this value are found."""
        keyring, tenant = self._keys()
        return keyring.index(plain, tenant, column)

    def open(self, value: bytes, column: str, row: UUID) -> str:
        """The plain text of a sealed value of the bound tenant. Raises Undecipherable if it can't be decrypted."""
        keyring, tenant = self._keys()
        return keyring.open(value, tenant, row, column)

    def seal_hash(self, hashed: str, user: UUID) -> str:
        """The form in which the password hash `hashed` is stored: sealed, unless the current key is of an earlier release."""
        keyring, tenant = self._keys()
        return keyring.seal_hash(hashed, tenant, user)

    def opened_hash(self, kept: str, user: UUID) -> str:
        """The password hash whose stored form is `kept`. Raises Undecipherable as Keyring.open_hash does."""
        keyring, tenant = self._keys()
        return keyring.open_hash(kept, tenant, user)

    def open_hash(self, kept: str, user: UUID) -> str | None:
        """Like `opened_hash`, but if the hash can't be decrypted, logs and counts this, and returns None."""
        try:
            return self.opened_hash(kept, user)
        except Undecipherable:
            self._tell("users.password_hash", user)
            return None

    @property
    def accepts_earlier_forms(self) -> bool:
        """Whether data in the form of an earlier release are accepted, such as rows without a MAC; see Keyring."""
        keyring, _ = self._keys()
        return keyring.accepts_earlier_forms

    def mac(self, fields: Iterable[bytes]) -> bytes:
        """The MAC of the values `fields` of a row of the bound tenant."""
        keyring, tenant = self._keys()
        return keyring.mac(tenant, fields)

    def verifies(self, mac: bytes | None, fields: Iterable[bytes]) -> bool:
        """Whether `mac` is the MAC of the values `fields` of a row of the bound tenant; for None see Keyring.verifies."""
        keyring, tenant = self._keys()
        return keyring.verifies(mac, tenant, fields)

    def authenticates(self, mac: bytes | None, fields: Sequence[bytes], row: UUID | None) -> bool:
        """Like `verifies`, for the row of a token. If it returns false, it logs an error with the kind of token (`fields[0]`)."""
        if self.verifies(mac, fields):
            return True
        log.error("token_mac_mismatch", kind=fields[0].decode(), row=row and str(row), tenant=str(self.tenant))
        return False

    def shown(self, value: bytes, column: str, row: UUID) -> str:
        """The plain text of a sealed value. If it can't be decrypted, log and count this, and return UNDECIPHERABLE.

        No error is raised, so that the other values of a result can be read although one value was changed or its key is missing.
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
    """The message that begins a transaction and binds it to `tenant` (None: to no tenant).

    `statement_timeout` is in seconds; None keeps the default of the connection. If the transaction may write, the message also
    sets the IP address and the request id of `origin`, for the log.
    """
    parts = [
        f"BEGIN ISOLATION LEVEL {isolation.upper()}{' READ ONLY' if read_only else ''}",
        # The connection's setting is for reads that are sent alone (direct.py).
        "SET LOCAL plan_cache_mode = auto",
    ]
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
    """The SET statements that are sent in one message with COMMIT, so that the log records `actor` with the commit."""
    if actor is None:
        return ""
    text = f"SET LOCAL app.actor_id = '{actor.user_id}';"
    if actor.session_id is not None:
        text += f"SET LOCAL app.session_id = '{actor.session_id}';"
    return text
