"""Hostile clients, against the service as a process and against the application itself."""

from __future__ import annotations

from api.conftest import acme, api, globex, serve
from cli.conftest import inside, local, quarry

__all__ = ["acme", "api", "globex", "inside", "local", "quarry", "serve"]
