"""A tenant leaves and comes back: exported into an archive, imported from one, erased. docs/offboarding.md has the format."""
