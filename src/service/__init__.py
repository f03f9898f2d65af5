"""Quarry: a multi-tenant service for creator marketing. All of its SQL is written by hand, in `sql/`."""
