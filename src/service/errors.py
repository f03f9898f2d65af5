"""All errors of the service. Each class has a stable `code`, which responses of the API contain.

ServiceError
├── DatabaseError            errors of statements and transactions
│   ├── NotFound  InvalidInput (MissingReference WrongPassword)  Conflict  InUse  StaleVersion  Forbidden
│   ├── Timeout  ReadOnly (SessionReadOnly)  Unavailable (PoolExhausted)  CommitUnknown
│   ├── Contention  StalePlan  Behind                             transient; `Work.run` retries after these
│   └── TransactionAborted  TooManySavepoints  TenantUnbound      mistakes in our own code
├── Refused                  the caller may not do this, or not now
│   └── Unauthorized  SessionExpired  TenantSuspended  InProgress  KeyReused
├── RequestError             the HTTP request can't be served as it is
│   └── Malformed  MethodNotAllowed  TooLarge  UnsupportedMediaType  PreconditionRequired  Gone  RateLimited
├── HashingBusy              too many passwords wait to be hashed or compared
├── Undecipherable           a sealed value can't be opened (personal/keyring.py)
└── OperatorError            a mistake in settings, files or set-up; shown in one line, with a remedy
    └── SettingsError  KeyringError  StatementError  GuardError  MigrationError (OwnSchemaFailed)  EmbeddedError  BackupError
        ToolFailed  ArchiveError  SampleError                     defined in the modules that raise them

Clients of the API are shown an error's `message`, never the message of PostgreSQL, which is in the exception's `__cause__`. For
an exception that is not a ServiceError, the API responds with the code `internal`. `Work.run` repeats a transaction after an
error if the attribute `retryable` of the error's class is true.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class FieldError:
    """A mistake in the input. `field` is the field with the mistake, as a path with dots; '' if the input as a whole is wrong."""

    field: str
    message: str


class ServiceError(Exception):
    """Something went wrong inside the service."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str | None = None, *, errors: tuple[FieldError, ...] = ()) -> None:
        self.message = message or (self.__class__.__doc__ or "").strip()
        self.errors = errors
        super().__init__(self.message)


class DatabaseError(ServiceError):
    """The database refused a statement, or failed."""


class NotFound(DatabaseError):
    """There is no such row."""

    code = "not_found"


class InvalidInput(DatabaseError):
    """The input is not valid."""

    code = "invalid_input"

    @classmethod
    def of(cls, field: str, message: str) -> InvalidInput:
        """Make an InvalidInput for a mistake in the field `field`."""
        return cls(errors=(FieldError(field, message),))


class MissingReference(InvalidInput):
    """A referenced row does not exist."""


class Conflict(DatabaseError):
    """The value is taken."""

    code = "conflict"

    def __init__(self, message: str | None = None, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InUse(DatabaseError):
    """Other rows still refer to this one."""

    code = "in_use"


class StaleVersion(DatabaseError):
    """The row has changed since it was read."""

    code = "stale_version"


class Refused(ServiceError):
    """The caller may not do this, or not now."""


class Unauthorized(Refused):
    """Sign in first."""

    code = "unauthorized"


class SessionExpired(Refused):
    """The session has expired; sign in again."""

    code = "session_expired"


class Forbidden(DatabaseError):
    """Your role does not allow this."""

    code = "forbidden"


class TenantSuspended(Refused):
    """The tenant is not active."""

    code = "tenant_suspended"


class Timeout(DatabaseError):
    """The database took too long and the work was undone."""

    code = "timeout"


class InProgress(Refused):
    """A request with this Idempotency-Key is being worked on; repeat it in a moment."""

    code = "in_progress"


class KeyReused(Refused):
    """This Idempotency-Key belongs to another request."""

    code = "key_reused"


class ReadOnly(DatabaseError):
    """Nothing can be changed right now; reading goes on."""

    code = "read_only"


class SessionReadOnly(ReadOnly):
    """The database accepts no writes on this connection; reading goes on."""

    retryable = True


class Unavailable(DatabaseError):
    """The database can't be reached right now; nothing was changed."""

    code = "unavailable"
    retryable = True
    retry_after: ClassVar[int] = 1


class PoolExhausted(Unavailable):
    """All database connections are busy."""

    retryable = False


class CommitUnknown(DatabaseError):
    """The connection was lost during commit; whether the change was made is not known."""

    code = "commit_unknown"


class Contention(DatabaseError):
    """Concurrent work got in the way; nothing was changed."""

    code = "unavailable"
    retryable = True


class Behind(DatabaseError):
    """A replica does not have the newest data yet."""

    code = "unavailable"
    retryable = True


class StalePlan(DatabaseError):
    """The schema changed under a prepared statement; nothing was changed."""

    code = "unavailable"
    retryable = True


class TransactionAborted(DatabaseError):
    """An error inside the transaction was swallowed; the transaction is lost and nothing was changed."""


class TooManySavepoints(DatabaseError):
    """A transaction may open at most 60 savepoints; with more than 64, all other transactions would become slower."""


class TenantUnbound(DatabaseError):
    """A tenant's statement was called without a tenant."""


class HashingBusy(ServiceError):
    """Too many people are signing in right now; try again in a moment."""

    code = "unavailable"


class RequestError(ServiceError):
    """The request can't be served as it is."""

    code = "malformed"


class Malformed(RequestError):
    """The request can't be read."""


class MethodNotAllowed(RequestError):
    """This path does not support this method."""

    code = "method_not_allowed"

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__()
        self.allowed = allowed


class TooLarge(RequestError):
    """The body is too large."""

    code = "too_large"


class UnsupportedMediaType(RequestError):
    """The body must be application/json."""

    code = "unsupported_media_type"


class PreconditionRequired(RequestError):
    """Send If-Match with the ETag of the version that you change."""

    code = "precondition_required"


class Gone(RequestError):
    """Commits after this position are no longer available. Reload the state and continue from there."""

    code = "gone"


class RateLimited(RequestError):
    """Too many requests of this kind; try again later."""

    code = "rate_limited"

    def __init__(self, retry_after: int) -> None:
        super().__init__()
        self.retry_after = retry_after
        """After how many seconds such a request is accepted again: a whole number, at least 1."""


class OperatorError(ServiceError):
    """The installation is not set up as it should be."""

    code = "misconfigured"

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
