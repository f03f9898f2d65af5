"""Tenant ids, how a transaction is bound to a tenant, and the lint that proves that the catalog keeps tenants apart."""
