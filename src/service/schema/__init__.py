"""Set-up of the database, before the first request: roles, the database, its schemas, migrations, and tenants' own schemas."""
