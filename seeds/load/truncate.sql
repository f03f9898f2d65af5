-- repository: seed
-- Takes the load tenants away with everything that is theirs.

-- name: tenants :many
-- scope: platform
-- The statements after this one run once for each.
SELECT id
  FROM app.tenants
 WHERE starts_with(domain, 'load-');

-- name: campaigns :count
-- scope: owner
-- Campaigns.
DELETE FROM campaigns WHERE tenant_id = :tenant_id;

-- name: users :count
-- scope: owner
-- Users.
DELETE FROM users WHERE tenant_id = :tenant_id;

-- name: tenant :count
-- scope: owner
-- The tenants themselves.
DELETE FROM app.tenants WHERE id = :tenant_id;
