-- repository: seed
-- Two agencies that know nothing of each other.

-- name: tenants :many
-- scope: platform
-- Inserts or finds them; the statements after this one run once for each.
INSERT INTO app.tenants AS t (name, domain, plan)
VALUES ('Acme Agency',  'acme.example',   'pro'),
       ('Globex Media', 'globex.example', 'free')
    ON CONFLICT ON CONSTRAINT tenants_domain_key DO UPDATE SET domain = excluded.domain
RETURNING t.id;
