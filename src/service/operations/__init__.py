"""What keeps an installation well: health, upkeep, the purge, rotation of keys, seeds."""
