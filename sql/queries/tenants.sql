-- repository: Tenants
-- A tenant is an agency that uses the service. A bound transaction sees only its tenant's row; quarry_platform sees all rows.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- app.tenants
--   id             uuid NOT NULL DEFAULT gen_random_uuid()
--   name           text NOT NULL +u
--   domain         text NOT NULL
--   status         text NOT NULL DEFAULT 'active'
--   plan           text NOT NULL DEFAULT 'free'
--   features       jsonb NOT NULL DEFAULT '{}'::jsonb +u
--   configuration  jsonb NOT NULL DEFAULT '{}'::jsonb +u
--   created_at     timestamptz NOT NULL DEFAULT now()
--   updated_at     timestamptz NOT NULL DEFAULT now()
--   version        integer NOT NULL DEFAULT 1
--   PRIMARY KEY (id)
--   UNIQUE (domain)
--   CHECK (jsonb_typeof(configuration) = 'object' AND octet_length(configuration) <= 65536)
--   CHECK (domain ~ '^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$')
--   CHECK (jsonb_typeof(features) = 'object' AND octet_length(features) <= 65536)
--   CHECK (char_length(name) >= 1 AND char_length(name) <= 200)
--   CHECK (plan = ANY (ARRAY['free', 'pro', 'enterprise']))
--   CHECK (status = ANY (ARRAY['active', 'suspended', 'archived']))
--   INDEX (created_at DESC, id DESC)
--   triggers: open_stream, record_delete, record_insert, record_update, refuse_truncate, touch
--
-- app.schemas
--   tenant_id  uuid NOT NULL DEFAULT app.current_tenant()
--   name       text NOT NULL
--   PRIMARY KEY (tenant_id)
--   UNIQUE (name)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (name ~ '^[a-z_][a-z0-9_]{0,62}$' AND name !~ '^pg_' AND (name <> ALL (ARRAY['app', 'public', 'information_schema'])))
-- End of the tables.

-- name: find_by_domain :maybe
-- scope: shared
-- calls: app.find_tenant because nothing is bound before it is known who asks; it answers id and status alone
-- crosses: whoever signs in has named the domain; they are told id and status, and nothing else
-- one: a domain is unique
-- notnull: id because it is a column of app.tenants, NOT NULL
-- notnull: status because it is a column of app.tenants, NOT NULL
-- values: status because the CHECK of app.tenants.status lists them
-- Finds the tenant with the domain :domain. This runs when no tenant is bound yet, for example at sign-in.
SELECT id, status
  FROM app.find_tenant(:domain);

-- name: current :one
-- The row of the bound tenant.
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version
  FROM app.tenants
 WHERE id = :tenant_id;

-- name: update :maybe
-- notnull: features because the patch of an object by an object is an object
-- notnull: configuration because the patch of an object by an object is an object
-- Changes those fields of the bound tenant that :given lists, if the row's version is :version (without :version, whatever its
-- version). Otherwise returns the row unchanged, with applied = false. Values of JSON columns are merge patches (RFC 7396):
-- members that they do not contain stay as they are.
WITH updated AS (
    UPDATE app.tenants
       SET name          = CASE WHEN 'name' = ANY (:given::text[]) THEN :name ELSE name END,
           features      = CASE WHEN 'features' = ANY (:given) THEN app.merge_patch(features, :features) ELSE features END,
           configuration = CASE WHEN 'configuration' = ANY (:given) THEN app.merge_patch(configuration, :configuration)
                                ELSE configuration END
     WHERE id = :tenant_id
       AND version = :version    -- when :version
 RETURNING id, name, domain, status, plan, features, configuration, created_at, updated_at, version
)
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version, true AS applied
  FROM updated
 UNION ALL
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version, false AS applied
  FROM app.tenants
 WHERE id = :tenant_id
   AND NOT EXISTS (SELECT FROM updated);

-- name: prune_deleted :value
-- grows: tenant
-- calls: prune_deleted because users can't be deleted by the serving role; it asks for the bound tenant again
-- notnull: prune_deleted because it begins with 0 and counts
-- Deletes for good the bound tenant's rows that were marked as deleted longer ago than app.installation.deleted_retention and
-- that no other rows refer to, at most :limit of each table at a time.
SELECT prune_deleted(:tenant_id, :limit);

-- name: claim_purge :value
-- scope: shared
-- calls: app.claim_purge because only the owner may write down that somebody purges
-- notnull: claim_purge because every path of it returns true or false
-- Returns true if no instance has begun a purge within the time :every, and records that this instance begins one now; otherwise
-- returns false.
SELECT app.claim_purge(:every);

-- name: lock_purge :value
-- scope: shared
-- calls: pg_try_advisory_xact_lock because two processes must not purge a tenant at once; the lock ends with the transaction
-- notnull: is_mine because a lock is taken or not
-- Tries to lock the purge of a tenant until this transaction ends, so that two processes do not purge the tenant at the same
-- time. Returns false if another process has the lock.
SELECT pg_try_advisory_xact_lock(hashtextextended('purge ' || :tenant::uuid::text, 0)) AS is_mine;

-- name: to_purge :many
-- scope: shared
-- grows: tenant
-- unbounded: tenants_to_purge answers :limit rows at most
-- calls: tenants_to_purge because upkeep is for all tenants; it answers their ids, whether each has something due, and nothing else
-- notnull: tenant because it is the key of app.tenants
-- notnull: is_due because every path of the function sets it
-- crosses: the service itself is told which tenants there are, no caller is
-- At most :limit tenants whose ids are greater than :previous, in id order; is_due says whether the tenant has rows to purge.
SELECT t.tenant_id AS tenant, t.is_due
  FROM tenants_to_purge(:previous, :limit, :idle::interval) AS t;

-- name: to_seal :many
-- scope: shared
-- grows: tenant
-- unbounded: tenants_to_seal answers :limit rows at most
-- calls: tenants_to_seal because a migration may have left plain values with all tenants; it answers their ids, and whether each has any
-- notnull: tenant because it is the key of app.tenants
-- notnull: waits because every path of the function sets it
-- crosses: the command that migrates is told, no caller is
-- At most :limit tenants whose ids are greater than :previous, in id order; waits says whether the tenant has personal data in
-- plain text, which should be sealed.
SELECT t.tenant_id AS tenant, t.waits
  FROM tenants_to_seal(:previous, :limit) AS t;

-- name: note_purge :value
-- scope: shared
-- calls: app.note_purge because only the owner may write down how a purge went
-- notnull: note_purge because the installation has its one row
-- Runs at the end of a purge of all tenants: stores for how many tenants it has failed.
SELECT app.note_purge(:failures);

-- name: create :one
-- scope: platform
-- Creates a tenant.
INSERT INTO app.tenants (name, domain, plan)
VALUES (:name, :domain, :plan)
RETURNING id, name, domain, status, plan, features, configuration, created_at, updated_at, version;

-- name: page :many
-- scope: platform
-- One page of all tenants, newest first; :after_created_at and :after_id are those of the last row of the previous page.
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version
  FROM app.tenants
 WHERE true
   AND status = :status                                     -- when :status
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: lookup :one
-- scope: platform
-- Finds a tenant by its domain.
SELECT id, name, domain, status, plan, features, configuration, created_at, updated_at, version
  FROM app.tenants
 WHERE domain = :domain;

-- name: set_status :one
-- scope: platform
-- Suspends, archives or activates a tenant. Processes may serve the tenant by the former status for up to a second.
   UPDATE app.tenants
      SET status = :status
    WHERE domain = :domain
RETURNING id, name, domain, status, plan, features, configuration, created_at, updated_at, version;

-- name: give_schema :count
-- scope: platform
-- Records that the rows of a new tenant are stored in a schema of its own, with the name :name.
INSERT INTO app.schemas (tenant_id, name)
VALUES (:tenant, :name);

-- name: schemas :many
-- scope: platform
-- unbounded: one row for each schema of a tenant's own
-- The tenants that have their own schemas, each with the name of its schema.
SELECT tenant_id AS tenant, name
  FROM app.schemas
 ORDER BY name;
