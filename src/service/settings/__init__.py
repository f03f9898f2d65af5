"""The settings in groups: each component takes the group that it needs."""
