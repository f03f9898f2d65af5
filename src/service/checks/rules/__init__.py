"""The rules for statements (signature, row counts, tenants, orders, pages, functions, caching, …) and for the schema."""
