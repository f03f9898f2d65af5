"""What PostgreSQL's own tree of a statement proves: nulls, row counts, orders, tenants."""
