"""The settings, divided into groups (classes), so that each component can be given only the group that it needs."""
