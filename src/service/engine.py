"""EngineWork: a transaction with the repositories that the engine needs.

The engine is all code that is independent of the field of the service (here: creator marketing). The service's own class `Work`
(work.py) extends EngineWork with the other repositories.
"""

from __future__ import annotations

from service.repos.api_keys import ApiKeys
from service.repos.change_tickets import ChangeTickets
from service.repos.cursors import Cursors
from service.repos.idempotency_keys import IdempotencyKeys
from service.repos.installation import Installation
from service.repos.log import Log
from service.repos.otps import Otps
from service.repos.server import Server
from service.repos.sessions import Sessions
from service.repos.sign_in_failures import SignInFailures
from service.repos.tenants import Tenants
from service.repos.users import Users
from service.statements.repository import Attached
from service.tenancy.transaction import Transaction


class EngineWork(Transaction):
    """A transaction with the repositories of the engine: for tenants, accounts, the log, idempotency keys and so on."""

    users = Attached(Users)
    api_keys = Attached(ApiKeys)
    change_tickets = Attached(ChangeTickets)
    cursors = Attached(Cursors)
    idempotency_keys = Attached(IdempotencyKeys)
    installation = Attached(Installation)
    log = Attached(Log)
    otps = Attached(Otps)
    server = Attached(Server)
    sessions = Attached(Sessions)
    sign_in_failures = Attached(SignInFailures)
    tenants = Attached(Tenants)
