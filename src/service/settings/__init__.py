"""The settings, divided into groups: each component is given only the group that it needs."""
