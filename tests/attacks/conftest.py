"""Hostile clients, against the service as a process and against the application itself."""

from __future__ import annotations

from api.conftest import acme, api, globex, serve

__all__ = ["acme", "api", "globex", "serve"]
