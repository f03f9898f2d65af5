"""The commands `quarry dev` and `quarry serve`."""

from __future__ import annotations

import functools
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Annotated, NoReturn

import typer
from starlette.applications import Starlette

from service.accounts import one_time_codes
from service.api.app import create_app
from service.changes.consumers import configured, require_names
from service.changes.sessions import session_events
from service.cli import servers
from service.cli.installation import database, installed, refuse_in_production, settings
from service.cli.migrate import migrate
from service.cli.terminal import say, wait_for
from service.errors import OperatorError
from service.operations import seeding
from service.operations.health import pending_migrations
from service.settings.settings import Settings
from service.tenancy import guard
from service.work import Work

_TAKEN_WITHIN = 60_000
"""If a client does not acknowledge sent data for this many milliseconds, the kernel closes the connection."""
_OPEN_FILES = 65_536
"""The limit of open files that this process asks for. Every connection counts as an open file, also that of an open stream."""

_HAS_TABLES = """SELECT EXISTS (SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE (n.nspname, c.relname) = ('app', 'installation'))"""

_DEMO = "tenant acme.example or globex.example, owner@, admin@, member@ or viewer@ it, password quarry-demo"
_NO_DEMO = "as before: this server has tenants, so demo data was left out; `quarry seed run demo` adds it"

Host = Annotated[str | None, typer.Option(help="The address to listen on; HOST otherwise.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="The port to listen on; PORT otherwise.")]


def dev(host: Host = None, port: Port = None) -> None:
    """Try out Quarry: start a PostgreSQL server if the settings name none, migrate, insert demo data, and serve the API.

    Refused in production. A server that the settings name gets demo data only if it has no tenants yet.
    """
    loaded = settings()
    refuse_in_production(loaded, "dev")
    _require_extensions(loaded)
    _allow_connections()
    with _listening(loaded, host, port) as listener, installed() as local:
        migrate(local)
        if "base" in seeding.sets():
            wait_for(seeding.seed(local, "base", say))
        if is_ours := loaded.database_url is None or not wait_for(_has_tenants(local)):
            wait_for(seeding.seed(local, "demo", say))
        wait_for(_admit(local))
        address = _address(listener)
        message = (
            f"\nQuarry serves on {address} (Ctrl-C stops it)\n"
            f"  sign in   {_DEMO if is_ours else _NO_DEMO}\n"
            f"  read      {address}/docs\n"
            f"  try       curl -s {address}/v1/sessions -H 'Content-Type: application/json' -d "
            '\'{"tenant":"acme.example","email":"owner@acme.example","password":"quarry-demo"}\'\n'
        )
        _serve(local, listener, lambda: say(message))


def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    with_migrations: Annotated[bool, typer.Option("--migrate", help="Apply pending migrations first.")] = False,
) -> None:
    """Serve the API. This is refused if migrations are pending, or if the database does not isolate the tenants."""
    loaded = settings()
    _require_extensions(loaded)
    _allow_connections()
    with _listening(loaded, host, port) as listener, installed() as local:
        if with_migrations:
            migrate(local)
        wait_for(_admit(local))
        ready = functools.partial(servers.said, _address(listener), workers)
        if workers == 1:
            _serve(local, listener, ready)
            return
        # The workers load the settings again, from the environment. So put the addresses of an embedded server there.
        for role in ("database_url", "database_migration_url", "database_platform_url", "database_backup_url"):
            if (secret := getattr(local, role)) is not None:
                os.environ[role.upper()] = secret.get_secret_value()
        os.environ["DATABASE_SSL"] = str(local.database_ssl)
        servers.serve_with_workers("service.cli.serve:worker", workers, local, listener, ready)


def worker() -> Starlette:
    """Create the application in a worker process; uvicorn calls this if there are several workers."""
    servers.begin_worker()
    app = create_app(settings())
    servers.freeze()
    return app


async def _has_tenants(local: Settings) -> bool:
    """Whether the database has tenants. If it has, no demo data is added, because the password of the demo users is public."""
    async with database(local, "quarry_platform") as opened:
        return bool(
            await Work.run(opened, lambda work: work.tenants.page(after_created_at=None, after_id=None, limit=1), None)
        )


async def _admit(local: Settings) -> None:
    async with database(local, attempts=local.database_connect_attempts) as opened:
        async with opened.connection() as connection:
            if not await connection.fetchval(_HAS_TABLES, ()):
                raise OperatorError("the database has no tables yet", "run `quarry migrate up` first, or add --migrate")
        if pending := await pending_migrations(opened):
            raise OperatorError(
                f"the database lacks migrations of this version: {', '.join(pending)}",
                "run `quarry migrate up` first, or add --migrate",
            )
        async with opened.connection() as connection:
            await guard.require(connection)
            login = await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user", ())
        if login and local.environment == "production":
            raise OperatorError(
                "production does not serve with a superuser login", "let DATABASE_URL log in as quarry_app"
            )


def _require_extensions(loaded: Settings) -> None:
    """Raise OperatorError if the code that the setting CODE_SENDER or CONSUMERS names can't be loaded.

    The commands call this first, so that such a mistake is reported at once.
    """
    one_time_codes.sender(loaded)
    require_names((session_events(), *configured(loaded)))


def _allow_connections() -> None:
    """Raise this process's limit of open files, often 1024, to _OPEN_FILES, or as far as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _serve(local: Settings, listener: socket.socket, ready: Callable[[], None]) -> None:
    # After SIGTERM, uvicorn finishes the requests in progress, and then sends SIGTERM to this process again. For this second
    # signal, set a handler that raises SystemExit, so that every `with` block does its clean-up.
    signal.signal(signal.SIGTERM, _leave)
    has_served = True
    try:
        has_served = servers.serve(create_app(local), local, listener, ready)
    except KeyboardInterrupt:
        say("quarry: stopped")
    if not has_served:
        raise OperatorError("the service did not start; its log above says why")


def _listening(loaded: Settings, host: str | None, port: int | None) -> socket.socket:
    """A socket that is bound to the address, but does not listen yet. Raises OperatorError if the address can't be used.

    The commands call this before anything slow, so that a port in use is reported at once.
    """
    address = (host or loaded.host, loaded.port if port is None else port)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # Accepted connections inherit this option. It makes the kernel close a connection whose client stops receiving.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _TAKEN_WITHIN)
    try:
        listener.bind(address)
    except (OSError, UnicodeError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "not a host name"
        raise OperatorError(
            f"port {address[1]} on {address[0]} can't be used: {why}",
            "give another one: --port 8001, or `make run PORT=8001`, and perhaps --host",
        ) from error
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _leave(_: int, __: FrameType | None) -> NoReturn:
    sys.exit(0)
