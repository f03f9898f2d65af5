"""The Prometheus metrics. The values of labels are names from the code or the settings (statements, routes), never user data.

If there are several worker processes, each writes its metrics to files in a shared directory, so that each can report the metrics
of all. The environment variable PROMETHEUS_MULTIPROC_DIR names this directory. It has to be set before this module is imported.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SHARED_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the directory for the metrics of all worker processes. prometheus-client reads it."""

Observer = Callable[[str, float, int], None]
"""A function that is called after each named statement, with its name, its duration in seconds and its row count."""

STATEMENTS = Histogram("quarry_statement_seconds", "Time of a named statement.", ["statement"])
STATEMENT_ERRORS = Counter(
    "quarry_statement_errors_total", "Named statements that ended in an error, by its code.", ["statement", "code"]
)
RETRIES = Counter("quarry_retries_total", "Units of work repeated after a passing failure.", ["reason"])
CONNECTIONS = Counter(
    "quarry_connections_total", "Connections made and ended, and the database lost and found again.", ["event"]
)
POOL_IN_USE = Gauge("quarry_pool_in_use", "Connections that work is done on.", multiprocess_mode="livesum")
POOL_WAITING = Gauge("quarry_pool_waiting", "Pieces of work that wait for a connection.", multiprocess_mode="livesum")
POOL_WAITED = Histogram(
    "quarry_pool_wait_seconds", "Time until work had its connection.", buckets=(0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
)
COMMITS_UNKNOWN = Counter("quarry_commits_unknown_total", "Commits whose outcome could not be learned.")
REQUESTS = Counter("quarry_requests_total", "Answers by status and error code.", ["method", "status", "code"])
REQUEST_SECONDS = Histogram("quarry_request_seconds", "Time of an answer by the route's path.", ["method", "route"])
RATE_LIMITED = Counter("quarry_rate_limited_total", "Requests refused by a rate limit.", ["limit"])
CACHE = Counter("quarry_cache_reads_total", "Cached reads by how they were answered.", ["outcome"])
REPLICA_READS = Counter(
    "quarry_replica_reads_total", "Pieces of work that could read from a replica, by where they read.", ["outcome"]
)
REPLICA_UP = Gauge(
    "quarry_replica_up", "1 for a replica that is read from, else 0.", ["replica"], multiprocess_mode="livemin"
)
REPLICA_BEHIND = Gauge(
    "quarry_replica_behind_seconds", "How far a replica is behind.", ["replica"], multiprocess_mode="livemax"
)
CONNECTIONS_REFUSED = Counter(
    "quarry_http_refused_total", "HTTP connections and requests refused before they were served.", ["reason"]
)
STREAMS = Gauge("quarry_change_streams", "Open change streams.", multiprocess_mode="livesum")
STREAMS_CLOSED = Counter("quarry_change_streams_closed_total", "Change streams that ended, by reason.", ["reason"])
LISTENER = Counter("quarry_listener_total", "What happened to the connection that listens for hints.", ["event"])
CONSUMED = Counter("quarry_consumed_commits_total", "Commits that a consumer has handled.", ["consumer"])
CONSUMER_FAILURES = Counter("quarry_consumer_failures_total", "Failures of a consumer.", ["consumer"])
CONSUMER_RESETS = Counter("quarry_consumer_resets_total", "Resets of a consumer, by reason.", ["consumer", "reason"])
WORKERS_REPLACED = Counter(
    "quarry_workers_replaced_total", "Worker processes that took the place of one that had died."
)
DATABASE_REFUSED = Counter(
    "quarry_database_refused_total",
    "Statements and connections that the server ended or refused for its own state, not for the statement's.",
    ["sqlstate_class"],
)
PURGE_FAILURES = Counter(
    "quarry_purge_failures_total", "Tenants of which something that has ended could not be forgotten."
)
UNDECIPHERABLE = Counter("quarry_undecipherable_total", "Sealed values that could not be opened.")
SESSION_EVENTS = Counter("quarry_session_events_total", "Sessions created, expired and revoked.", ["event"])


_FROM_THE_START: tuple[tuple[Counter, dict[str, tuple[str, ...]]], ...] = (
    (CONNECTIONS, {"event": ("connected", "ended", "lost", "recovered")}),
    (DATABASE_REFUSED, {"sqlstate_class": ("08", "25", "53", "57", "58", "XX")}),
    (CONNECTIONS_REFUSED, {"reason": ("full", "address", "headers", "target", "slow", "malformed")}),
    (RETRIES, {"reason": ("Contention", "StalePlan", "Behind", "Unavailable", "SessionReadOnly")}),
    (CACHE, {"outcome": ("hit", "joined", "miss", "none", "shared", "stale")}),
    (REPLICA_READS, {"outcome": ("behind", "lost", "none", "replica")}),
    (STREAMS_CLOSED, {"reason": ("left", "stuck")}),
    (LISTENER, {"event": ("deaf", "listening", "refused")}),
    (SESSION_EVENTS, {"event": ("created", "expired", "revoked")}),
)


def appear(*, statuses: Mapping[str, int], limits: Iterable[str], consumers: Iterable[str]) -> None:
    """Create the time series that alerts watch, with the value 0: in a series that begins with 1, no increase would be seen.

    Keys of `statuses` are error codes, its values are HTTP statuses. `limits` are the names of the rate limits, and `consumers`
    those of the consumers.
    """
    for counter, labels in (
        *_FROM_THE_START,
        (RATE_LIMITED, {"limit": tuple(limits)}),
        (CONSUMED, {"consumer": (names := tuple(consumers))}),
        (CONSUMER_FAILURES, {"consumer": names}),
        (CONSUMER_RESETS, {"consumer": names, "reason": ("lost", "cut_off")}),
    ):
        for values in itertools.product(*labels.values()):
            counter.labels(**dict(zip(labels, values, strict=True)))
    for method, (code, status) in itertools.product(("GET", "POST", "PUT", "PATCH", "DELETE"), statuses.items()):
        REQUESTS.labels(method=method, status=str(status), code=code)


def exposition() -> bytes:
    """All metrics in Prometheus' text format. If there are several worker processes, the result combines the metrics of all."""
    if SHARED_DIRECTORY not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget_the_dead() -> None:
    """Remove the gauges of worker processes that have ended, from the shared directory. Their counters stay in the totals."""
    directory = os.environ.get(SHARED_DIRECTORY)
    for path in Path(directory).glob("gauge_live*_*.db") if directory else ():
        pid = int(path.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid)  # type: ignore[no-untyped-call]
