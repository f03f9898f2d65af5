"""Ids of tenants, the transaction, its binding to a tenant, and the guard, which checks that the catalog keeps tenants apart."""
