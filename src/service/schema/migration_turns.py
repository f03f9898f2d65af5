"""Locks, by which only one process migrates at a time. The others wait. A lock whose process no longer exists is removed."""

from __future__ import annotations

import getpass
import os
from time import monotonic, sleep
from typing import Any

import psycopg

from service.texts import Say

_LOCK = 7_301_915_204_411
"""The key of the advisory lock of `quarry migrate`: an arbitrary number that is used for nothing else."""
_ASK_EVERY, _TELL_AFTER, _TELL_EVERY = 0.05, 1.0, 30.0
"""Seconds between two attempts to take the lock, before the first message "waiting", and between two such messages. The first
message is delayed, because a connection that this process has just closed may hold the lock for another moment."""


def wait(holder: psycopg.Connection[Any], say: Say) -> None:
    """Take the lock of `quarry migrate` on the connection `holder`, by trying again and again with pg_try_advisory_lock().

    A session that waits in pg_advisory_lock() holds a snapshot, and CREATE INDEX CONCURRENTLY in the migrating process waits
    for all snapshots. So the two processes would wait for each other for ever.
    """
    told = monotonic() - _TELL_EVERY + _TELL_AFTER
    while not value(holder, "SELECT pg_try_advisory_lock(%s)", _LOCK):
        if monotonic() - told >= _TELL_EVERY:
            say("waiting for another instance that is migrating")
            told = monotonic()
        sleep(_ASK_EVERY)


def clear_dead_lock(holder: psycopg.Connection[Any], name: str) -> None:
    """Remove yoyo's lock, a row in yoyo_lock, if the process that wrote the row no longer exists.

    That is so if this host has no other process with the pid in the row, and the database has no session with the application
    name `name`. (The session may belong to a process on another host.)
    """
    if value(holder, "SELECT to_regclass('yoyo_lock') IS NULL"):
        return
    pid = value(holder, "SELECT pid FROM yoyo_lock")
    connected = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %s AND datname = current_database())"
    )
    if pid is not None and not _is_alive(pid) and not value(holder, connected, name):
        holder.execute("DELETE FROM yoyo_lock WHERE pid = %s", (pid,))


def value(connection: psycopg.Connection[Any], statement: Any, *values: object) -> Any:
    """Run a statement; returns the first column of its first row, or None if it returns no row."""
    row = connection.execute(statement, values).fetchone()
    return None if row is None else row[0]


def _is_alive(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def name_user() -> None:
    """Set LOGNAME to the uid if the user has no name, as in some containers. yoyo logs the name, and fails without one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())
