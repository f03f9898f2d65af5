"""Operating an installation: health checks, upkeep, the purge, rotation of keys, and seeds."""
