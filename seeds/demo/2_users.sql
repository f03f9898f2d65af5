-- repository: seed
-- One user of every role per tenant; everybody's password is quarry-demo.

-- name: users :count
-- Addresses are made from the role and the tenant's domain, ids from tenant and role. Sealed addresses can't be compared here, so
-- a tenant that already has users gets none: two users might then have the same address.
INSERT INTO users (tenant_id, id, email, email_index, display_name, password_hash, role)
SELECT t.id, md5(t.id || r.role)::uuid, app.unsealed(r.role || '@' || t.domain),
       app.unsealed_index(r.role || '@' || t.domain), initcap(r.role) || ' of ' || t.name,
       '$argon2id$v=19$m=19456,t=2,p=1$p0peFxR+7V19lscplac1Fg$mUk5hnpZpQ8kn21fBxUnV4ml2Zq1SxpK3GQSMnAlit0',
       r.role
  FROM app.tenants AS t
 CROSS JOIN unnest(ARRAY['owner', 'admin', 'member', 'viewer']) AS r (role)
 WHERE t.id = :tenant_id
   AND NOT EXISTS (SELECT FROM users AS u WHERE u.tenant_id = t.id)
    ON CONFLICT ON CONSTRAINT users_pkey DO NOTHING;
