-- repository: seed
-- Deletes the tenants of the load seed with all their rows.

-- name: tenants :many
-- scope: platform
-- The tenants of the load seed; the statements after this one run once for each of them.
SELECT id
  FROM app.tenants
 WHERE starts_with(domain, 'load-');

-- name: campaigns :count
-- scope: owner
-- Campaigns; their contents and their assignments of influencers are deleted by cascade.
DELETE FROM campaigns WHERE tenant_id = :tenant_id;

-- name: influencers :count
-- scope: owner
-- Influencers; their links to niches are deleted by cascade.
DELETE FROM influencers WHERE tenant_id = :tenant_id;

-- name: brands :count
-- scope: owner
-- Brands; their links to niches are deleted by cascade.
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
-- Idempotency keys with the stored answers.
DELETE FROM idempotency_keys WHERE tenant_id = :tenant_id;

-- name: users :count
-- scope: owner
-- Users and their sessions.
DELETE FROM users WHERE tenant_id = :tenant_id;

-- name: tenant :count
-- scope: owner
-- The tenant itself; its log is kept.
DELETE FROM app.tenants WHERE id = :tenant_id;
