"""Who a tenant is, how a connection is bound to one, and the lint that proves the catalog keeps tenants apart."""
