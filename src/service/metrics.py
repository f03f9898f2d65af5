"""What is counted and timed. Labels come from code (statement names, error codes), never from data."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import Counter, Histogram

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
