"""The `quarry` command: one module per group."""
