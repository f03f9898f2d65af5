"""What must be there before the first request: roles, databases, migrations, schemas of tenants' own."""
