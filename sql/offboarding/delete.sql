-- repository: delete
-- Takes a tenant away with everything that is theirs, in this order and in one transaction; the last two run after it.

-- name: lock :value
-- scope: owner
-- Waits for work in flight that adds rows, and lets no more begin: what adds a row locks its tenant (foreign key).
SELECT status
  FROM app.tenants
 WHERE id = :tenant_id
   FOR UPDATE;

-- name: campaign_influencers :count
-- scope: owner
-- Who takes part in which campaign.
DELETE FROM campaign_influencers WHERE tenant_id = :tenant_id;

-- name: contents :count
-- scope: owner
-- Contents.
DELETE FROM contents WHERE tenant_id = :tenant_id;

-- name: campaigns :count
-- scope: owner
-- Campaigns.
DELETE FROM campaigns WHERE tenant_id = :tenant_id;

-- name: influencer_niches :count
-- scope: owner
-- Niches of influencers.
DELETE FROM influencer_niches WHERE tenant_id = :tenant_id;

-- name: influencers :count
-- scope: owner
-- Influencers.
DELETE FROM influencers WHERE tenant_id = :tenant_id;

-- name: brand_niches :count
-- scope: owner
-- Niches of brands.
DELETE FROM brand_niches WHERE tenant_id = :tenant_id;

-- name: brands :count
-- scope: owner
-- Brands.
DELETE FROM brands WHERE tenant_id = :tenant_id;

-- name: change_tickets :count
-- scope: owner
-- Tickets for change streams.
DELETE FROM change_tickets WHERE tenant_id = :tenant_id;

-- name: api_keys :count
-- scope: owner
-- API keys.
DELETE FROM api_keys WHERE tenant_id = :tenant_id;

-- name: sessions :count
-- scope: owner
-- Sessions.
DELETE FROM sessions WHERE tenant_id = :tenant_id;

-- name: sign_in_failures :count
-- scope: owner
-- Failed sign-ins.
DELETE FROM sign_in_failures WHERE tenant_id = :tenant_id;

-- name: otps :count
-- scope: owner
-- One-time codes.
DELETE FROM otps WHERE tenant_id = :tenant_id;

-- name: idempotency_keys :count
-- scope: owner
-- Answers to repeat.
DELETE FROM idempotency_keys WHERE tenant_id = :tenant_id;

-- name: users :count
-- scope: owner
-- Users.
DELETE FROM users WHERE tenant_id = :tenant_id;

-- name: schemas :count
-- scope: owner
-- Where its rows were, if that was a schema of its own; the schema itself is dropped afterwards.
DELETE FROM app.schemas WHERE tenant_id = :tenant_id;

-- name: tenants :count
-- scope: owner
-- The tenant itself.
DELETE FROM app.tenants WHERE id = :tenant_id;

-- name: number :maybe
-- scope: owner
-- Gives this transaction its number now: at COMMIT its row would be written to the log after the log has been deleted.
SET CONSTRAINTS ALL IMMEDIATE;

-- name: changes :count
-- scope: owner
-- The log's changes, the ones above among them.
DELETE FROM app.changes WHERE tenant_id = :tenant_id;

-- name: commits :count
-- scope: owner
-- The log's commits.
DELETE FROM app.commits WHERE tenant_id = :tenant_id;

-- name: cursors :count
-- scope: owner
-- How far consumers have read the log.
DELETE FROM app.cursors WHERE tenant_id = :tenant_id;

-- name: heads :count
-- scope: owner
-- The log's counter.
DELETE FROM app.heads WHERE tenant_id = :tenant_id;

-- name: statistics :maybe
-- scope: owner
-- The planner keeps samples of what columns hold; new ones hold nothing of the tenant.
ANALYZE app.tenants, app.schemas, app.changes, app.commits, app.heads, app.cursors, users, sessions, api_keys, change_tickets,
        sign_in_failures, otps, idempotency_keys,
        brands, brand_niches, influencers, influencer_niches, campaigns, contents, campaign_influencers;

-- name: remains :many
-- scope: owner
-- Every table that has a column for its tenant, and what counts the tenant's rows in it (none where that is not allowed).
SELECT t.schema, t.name,
       CASE WHEN has_table_privilege(t.oid, 'SELECT')
            THEN format('SELECT count(*) FROM %I.%I WHERE %I = %L', t.schema, t.name, t.tenant, :tenant_id::uuid) END AS counting
  FROM (SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name,
               CASE WHEN (n.nspname, c.relname) = ('app', 'tenants') THEN 'id' ELSE 'tenant_id' END AS tenant
          FROM pg_catalog.pg_class AS c
          JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p', 'm')
           AND NOT c.relispartition
           AND n.nspname !~ '^pg_'
           AND n.nspname <> 'information_schema') AS t
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = t.oid AND a.attname = t.tenant AND NOT a.attisdropped
 ORDER BY t.schema, t.name;
