-- repository: seed
-- One user of each role per tenant; the password of all of them is quarry-demo.

-- name: users :count
-- Email addresses consist of the role and the tenant's domain; ids are computed from tenant and role. If a tenant already has
-- users, none are added: SQL can't compare sealed addresses, so two users could get the same address.
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
