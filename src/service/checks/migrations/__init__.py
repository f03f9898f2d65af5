"""The checks of migrations: rollback files, locks, rewritten tables, and the rules that keep tenants apart."""
