"""Creates what must exist before the first request: roles, databases, the migrated schemas, and tenants' own schemas."""
