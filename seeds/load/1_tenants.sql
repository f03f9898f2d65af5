-- repository: seed
-- Volume for measurements: parameters are tenants, users_per_tenant and campaigns_per_tenant.

-- name: tenants :many
-- scope: platform
-- Tenants load-1.example and on.
INSERT INTO app.tenants AS t (name, domain)
SELECT 'Load ' || n, 'load-' || n || '.example'
  FROM generate_series(1, :tenants::int) AS n
    ON CONFLICT ON CONSTRAINT tenants_domain_key DO UPDATE SET domain = excluded.domain
RETURNING t.id;
