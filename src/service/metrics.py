"""What is counted and timed. Labels come from code (statement names, error codes), never from data."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Gauge, Histogram

Observer = Callable[[str, float, int], None]
"""Told name, seconds and rows of every named statement."""

STATEMENTS = Histogram("quarry_statement_seconds", "Time of a named statement.", ["statement"])
RETRIES = Counter("quarry_retries_total", "Units of work repeated after a passing failure.", ["reason"])
CONNECTIONS = Counter(
    "quarry_connections_total", "Connections made and ended, and the database lost and found again.", ["event"]
)
COMMITS_UNKNOWN = Counter("quarry_commits_unknown_total", "Commits whose outcome could not be learned.")
REQUESTS = Counter("quarry_requests_total", "Answers by status and error code.", ["method", "status", "code"])
RATE_LIMITED = Counter("quarry_rate_limited_total", "Requests refused by a rate limit.", ["limit"])
CACHE = Counter("quarry_cache_reads_total", "Cached reads by how they were answered.", ["outcome"])
STREAMS = Gauge("quarry_change_streams", "Open change streams.")
STREAMS_CLOSED = Counter("quarry_change_streams_closed_total", "Change streams that ended, by reason.", ["reason"])
LISTENER = Counter("quarry_listener_total", "What happened to the connection that listens for hints.", ["event"])
CONSUMED = Counter("quarry_consumed_commits_total", "Commits that a consumer has handled.", ["consumer"])
CONSUMER_FAILURES = Counter("quarry_consumer_failures_total", "Failures of a consumer.", ["consumer"])
CONSUMER_RESETS = Counter("quarry_consumer_resets_total", "Resets of a consumer, by reason.", ["consumer", "reason"])
SESSION_EVENTS = Counter("quarry_session_events_total", "Sessions created, expired and revoked.", ["event"])
