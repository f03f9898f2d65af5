-- repository: seed
-- Two agencies that are independent of each other.

-- name: tenants :many
-- scope: platform
-- Inserts the tenants or finds existing ones; the statements in the files after this one run once for each of them.
INSERT INTO app.tenants AS t (name, domain, plan)
VALUES ('Acme Agency',  'acme.example',   'pro'),
       ('Globex Media', 'globex.example', 'free')
    ON CONFLICT ON CONSTRAINT tenants_domain_key DO UPDATE SET domain = excluded.domain
RETURNING t.id;
