"""Reads the log of committed changes, streams the commits to clients, and passes them to consumers (Python functions)."""
