"""Export a tenant into an archive, import it from one, and erase it. docs/offboarding.md describes the archive's format."""
