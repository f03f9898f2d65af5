"""Runs the HTTP server uvicorn, in this process or in several worker processes."""

from __future__ import annotations

import functools
import gc
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from typing import Any

import structlog
import uvicorn
from starlette.applications import Starlette
from uvicorn.supervisors import Multiprocess

from service.http.connections import BoundedProtocol, Gate
from service.metrics import SHARED_DIRECTORY, WORKERS_REPLACED, forget_the_dead
from service.settings.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger("service.servers")

_REPLACES = "QUARRY_WORKER_REPLACES"
"""The environment variable that tells a new worker the process id of the worker that it replaces."""


class Server(uvicorn.Server):
    """A uvicorn server that calls the function `ready` when it has begun to accept connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the application's start-up, begin to listen, then call `ready`."""
        await super().startup(sockets)
        if self.started:
            self._ready()


class Workers(Multiprocess):
    """Several worker processes that share one socket. `ready` is called when the first worker serves.

    If a worker dies, a new one replaces it; this is logged, and the new worker counts it in a metric. A worker that hangs is
    also replaced; this is only logged.
    """

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], ready: Callable[[], None]) -> None:
        super().__init__(config, sockets)
        self._ready: Callable[[], None] | None = ready

    def keep_subprocess_alive(self) -> None:
        """Replace workers that have died or hang. Uvicorn calls this method about twice a second."""
        before = {index: process.pid for index, process in enumerate(self.processes)}
        dead = next((process.pid for process in self.processes if not process.process.is_alive()), None)
        if dead is not None:
            os.environ[_REPLACES] = str(dead)
        super().keep_subprocess_alive()
        os.environ.pop(_REPLACES, None)
        for index, process in enumerate(self.processes):
            if (old := before.get(index)) != process.pid:
                log.warning("worker_replaced", pid=old, by=process.pid)
        if self._ready is not None and any(process.is_ready(timeout=1) for process in self.processes):
            self._ready()
            self._ready = None


def serve(app: Starlette, local: Settings, listener: socket.socket, ready: Callable[[], None]) -> bool:
    """Serve requests in this process until a signal stops the server. Returns False if the server could not start."""
    # A terminal sends SIGHUP when it is closed. Ignore this signal, so that the service then continues.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = Server(_config(app, local), ready)
    freeze()
    server.run([listener])
    return server.started


def serve_with_workers(
    factory: str, workers: int, local: Settings, listener: socket.socket, ready: Callable[[], None]
) -> None:
    """Serve requests with several worker processes. On SIGHUP, the workers are replaced one after the other.

    Each worker makes its own application by calling the function that `factory` names (`module:name`).
    """
    config = _config(factory, local, factory=True, workers=workers)
    with tempfile.TemporaryDirectory(prefix="quarry-metrics-") as shared:
        os.environ[SHARED_DIRECTORY] = shared
        Workers(config, [listener], ready).run()


def freeze() -> None:
    """Exclude all present objects from garbage collection. Otherwise a full collection would pause requests for about 50 ms."""
    gc.collect()
    gc.freeze()


def begin_worker() -> None:
    """Prepare the metrics of a new worker process; has to be called first there.

    The gauges of processes that have ended are removed. If this worker replaces one that died, the replacement is counted.
    """
    forget_the_dead()
    if os.environ.get(_REPLACES):
        WORKERS_REPLACED.inc()


def _config(app: Starlette | str, local: Settings, *, factory: bool = False, workers: int = 1) -> uvicorn.Config:
    gate = Gate(
        local.max_connections, local.max_connections_per_address, local.request_head_timeout, local.request_body_timeout,
        local.trusted_proxies,
    )  # fmt: skip
    protocol: Any = functools.partial(BoundedProtocol, gate=gate)
    return uvicorn.Config(
        app, http=protocol, factory=factory, workers=workers, log_level="warning", access_log=False, lifespan="on",
        # Uvicorn kills a worker that does not respond to a health check within this time. The default (5 s) can be too short
        # for a worker that is still starting.
        timeout_worker_healthcheck=60,
        timeout_graceful_shutdown=int(local.shutdown_timeout), server_header=False, proxy_headers=False,
    )  # fmt: skip


def said(address: str, workers: int) -> None:
    """Log that this instance serves requests, with its address and the number of its workers."""
    event = f"serving on {address}"
    log.info(event, pid=os.getpid(), workers=workers)
