"""Export of a tenant into an archive, import from an archive, and erasure. docs/offboarding.md describes the format."""
