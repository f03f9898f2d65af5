-- repository: seed
-- Many tenants for measurements; the parameters are tenants, users_per_tenant and campaigns_per_tenant.

-- name: tenants :many
-- scope: platform
-- Tenants with the domains load-1.example, load-2.example and so on.
INSERT INTO app.tenants AS t (name, domain)
SELECT 'Load ' || n, 'load-' || n || '.example'
  FROM generate_series(1, :tenants::int) AS n
    ON CONFLICT ON CONSTRAINT tenants_domain_key DO UPDATE SET domain = excluded.domain
RETURNING t.id;
