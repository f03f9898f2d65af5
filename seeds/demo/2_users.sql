-- repository: seed
-- One user of every role per tenant; everybody's password is quarry-demo.

-- name: users :count
-- Addresses are made of the role and the tenant's domain.
INSERT INTO users (tenant_id, email, display_name, password_hash, role)
SELECT t.id, r.role || '@' || t.domain, initcap(r.role) || ' of ' || t.name,
       '$argon2id$v=19$m=65536,t=3,p=4$WEPYXk+I91TjU1a5L+vtbg$nwxDljI7AJrLYQWb6zad0L86YijaR85cmd7TjfqLBGY',
       r.role
  FROM app.tenants AS t
 CROSS JOIN unnest(ARRAY['owner', 'admin', 'member', 'viewer']) AS r (role)
 WHERE t.id = :tenant_id
    ON CONFLICT (tenant_id, email) WHERE deleted_at IS NULL DO NOTHING;
