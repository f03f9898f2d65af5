"""Exports a tenant to an archive file, imports such an archive, and erases a tenant. docs/offboarding.md describes the format."""
