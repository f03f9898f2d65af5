-- repository: seed
-- Both tenants have campaigns with the same names on purpose: if tenants are mixed up anywhere, the wrong data can be recognised.

-- name: campaigns :count
-- The ids of campaigns, owners and brands are computed from the tenant and a name, so that running it again finds the same rows.
INSERT INTO campaigns (tenant_id, id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on,
                       ends_on)
SELECT u.tenant_id, md5(u.tenant_id || c.name)::uuid, c.name, c.description || ' For ' || t.name || '.', c.status, u.id,
       b.id, c.budget_minor, c.currency, c.starts_on, c.ends_on
  FROM users AS u
  JOIN app.tenants AS t ON t.id = u.tenant_id
 CROSS JOIN (VALUES ('Summer Launch',   'Sun screen with ten creators.',      'active',    500000::bigint, 'USD', date '2026-06-01', date '2026-08-31', NULL),
                    ('Autumn Stories',  'Stories about slow weekends.',       'draft',     120000,         'EUR', date '2026-09-15', date '2026-11-15', NULL),
                    ('Winter Warmers',  'Tea, blankets and candle light.',    'paused',     80000,         'GBP', date '2026-12-01', date '2027-01-31', NULL),
                    ('Spring Clean',    'Refillable bottles for every home.', 'completed', 250000,         'USD', date '2026-03-01', date '2026-04-30', 'bright.bottle'),
                    ('Always On',       'A year of small collaborations.',    'active',   1200000,         'USD', NULL,              NULL,              NULL))
         AS c (name, description, status, budget_minor, currency, starts_on, ends_on, brand)
  LEFT JOIN brands AS b ON b.tenant_id = u.tenant_id AND b.id = md5(u.tenant_id || c.brand)::uuid AND b.deleted_at IS NULL
 WHERE u.tenant_id = :tenant_id
   AND t.id = :tenant_id
   AND u.id = md5(u.tenant_id || 'owner')::uuid
   AND u.deleted_at IS NULL
    ON CONFLICT ON CONSTRAINT campaigns_pkey DO NOTHING;

-- name: contents :count
-- Two contents for every campaign that this seed has created.
INSERT INTO contents (tenant_id, id, campaign_id, kind, title, body, status)
SELECT c.tenant_id, md5(c.id || k.kind)::uuid, c.id, k.kind, c.name || ' ' || k.kind, 'A ' || k.kind || ' for ' || c.name || '.', k.status
  FROM campaigns AS c
 CROSS JOIN (VALUES ('reel', 'draft'), ('post', 'published')) AS k (kind, status)
 WHERE c.tenant_id = :tenant_id
   AND c.id = md5(c.tenant_id || c.name)::uuid
    ON CONFLICT ON CONSTRAINT contents_pkey DO NOTHING;
