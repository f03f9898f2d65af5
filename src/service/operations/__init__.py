"""Tasks of operation: health checks, upkeep (background tasks), the purge of old rows, rotation of keys, and seeds."""
