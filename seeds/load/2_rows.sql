-- repository: seed
-- The users and campaigns of each tenant of the load seed.

-- name: users :count
-- Users who can't sign in, because '!' is not a valid password hash.
INSERT INTO users (tenant_id, id, email, email_index, display_name, password_hash, role)
SELECT :tenant_id::uuid, md5(:tenant_id::text || 'user' || n)::uuid, app.unsealed('user-' || n || '@load.example'),
       app.unsealed_index('user-' || n || '@load.example'), 'User ' || n, '!',
       CASE WHEN n = 1 THEN 'owner' ELSE 'member' END
  FROM generate_series(1, :users_per_tenant::int) AS n
    ON CONFLICT DO NOTHING;

-- name: campaigns :count
-- Campaigns, distributed over all owners and statuses.
INSERT INTO campaigns (tenant_id, id, name, description, status, owner_id, budget_minor)
SELECT :tenant_id::uuid, md5(:tenant_id::text || 'campaign' || n)::uuid, 'Campaign ' || n, 'Made for measurements.',
       (ARRAY['draft', 'active', 'paused', 'completed'])[1 + n % 4],
       md5(:tenant_id::text || 'user' || (1 + n % :users_per_tenant::int))::uuid, n * 100
  FROM generate_series(1, :campaigns_per_tenant::int) AS n
    ON CONFLICT DO NOTHING;
