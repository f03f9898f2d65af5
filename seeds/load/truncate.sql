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
-- Campaigns, and with them their contents and influencers.
DELETE FROM campaigns WHERE tenant_id = :tenant_id;

-- name: influencers :count
-- scope: owner
-- Influencers and their niches.
DELETE FROM influencers WHERE tenant_id = :tenant_id;

-- name: brands :count
-- scope: owner
-- Brands and their niches.
DELETE FROM brands WHERE tenant_id = :tenant_id;

-- name: api_keys :count
-- scope: owner
-- API keys.
DELETE FROM api_keys WHERE tenant_id = :tenant_id;

-- name: otps :count
-- scope: owner
-- One-time codes.
DELETE FROM otps WHERE tenant_id = :tenant_id;

-- name: failures :count
-- scope: owner
-- Failed sign-ins.
DELETE FROM sign_in_failures WHERE tenant_id = :tenant_id;

-- name: idempotency_keys :count
-- scope: owner
-- Answers to repeat.
DELETE FROM idempotency_keys WHERE tenant_id = :tenant_id;

-- name: users :count
-- scope: owner
-- Users and their sessions.
DELETE FROM users WHERE tenant_id = :tenant_id;

-- name: tenant :count
-- scope: owner
-- The tenants themselves.
DELETE FROM app.tenants WHERE id = :tenant_id;
