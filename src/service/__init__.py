"""Quarry: a multi-tenant service for creator marketing on hand-written SQL."""
