"""Hostile clients, against the service as a process and against the application itself."""

from __future__ import annotations

from api.conftest import api, serve
from cli.conftest import inside, local, quarry

__all__ = ["api", "inside", "local", "quarry", "serve"]
