-- repository: Campaigns
-- An agency (the tenant) runs a campaign, usually for a brand. A campaign has an owner (a user), a budget, dates and a status.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- campaigns
--   tenant_id     uuid NOT NULL DEFAULT app.current_tenant() +i
--   id            uuid NOT NULL DEFAULT gen_random_uuid() +i
--   name          text NOT NULL +i +u
--   search_name   text NOT NULL
--   description   text +i +u
--   status        text NOT NULL DEFAULT 'draft' +i +u
--   owner_id      uuid NOT NULL +i +u
--   brand_id      uuid +i +u
--   budget_minor  bigint NOT NULL DEFAULT 0 +i +u
--   currency      text NOT NULL DEFAULT 'USD' +i +u
--   starts_on     date +i +u
--   ends_on       date +i +u
--   created_at    timestamptz NOT NULL DEFAULT now()
--   updated_at    timestamptz NOT NULL DEFAULT now()
--   version       integer NOT NULL DEFAULT 1
--   deleted_at    timestamptz +u
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id, brand_id) REFERENCES brands(tenant_id, id)
--   FOREIGN KEY (tenant_id, owner_id) REFERENCES users(tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (budget_minor >= 0 AND budget_minor <= '9007199254740991'::bigint)
--   CHECK (currency ~ '^[A-Z]{3}$')
--   CHECK (char_length(description) <= 10000)
--   CHECK (ends_on >= starts_on)
--   CHECK (char_length(name) >= 1 AND char_length(name) <= 200)
--   CHECK (status = ANY (ARRAY['draft', 'active', 'paused', 'completed', 'archived']))
--   INDEX (tenant_id, brand_id, created_at DESC, id DESC)
--   INDEX (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL
--   INDEX (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL
--   INDEX (tenant_id, owner_id, created_at DESC, id DESC)
--   INDEX (tenant_id, search_name text_pattern_ops) WHERE deleted_at IS NULL
--   INDEX (tenant_id, status, created_at DESC, id DESC) WHERE deleted_at IS NULL
--   triggers: check_references, fold_name, keep_archived, record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.

-- name: create :one
-- Creates a campaign. A trigger refuses it if its owner or its brand is not a live row of this tenant.
INSERT INTO campaigns (tenant_id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on)
VALUES (:tenant_id, :name, :description, :status, :owner_id, :brand_id, :budget_minor, :currency, :starts_on, :ends_on)
RETURNING id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
          created_at, updated_at, version;

-- name: find :one
-- Finds a live campaign by its id.
SELECT id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
       created_at, updated_at, version
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL;

-- name: find_many :many
-- unbounded: one row for each id that is asked for
-- The live campaigns whose ids are in :ids, in id order.
SELECT id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
       created_at, updated_at, version
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND id = ANY (:ids::uuid[])
   AND deleted_at IS NULL
 ORDER BY id;

-- name: find_with_contents :one
-- Finds a live campaign by its id, together with a JSON array of its live contents, the newest first.
SELECT c.id, c.name, c.description, c.status, c.owner_id, c.brand_id, c.budget_minor, c.currency, c.starts_on, c.ends_on,
       c.created_at, c.updated_at, c.version,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('id', n.id, 'kind', n.kind, 'title', n.title, 'status', n.status)
                                  ORDER BY n.created_at DESC, n.id DESC), '[]')
          FROM contents AS n
         WHERE n.tenant_id = :tenant_id
           AND n.campaign_id = c.id
           AND n.deleted_at IS NULL) AS contents
  FROM campaigns AS c
 WHERE c.tenant_id = :tenant_id
   AND c.id = :id
   AND c.deleted_at IS NULL;

-- name: exists :value
-- Whether there is a live campaign with the id :id.
SELECT EXISTS (SELECT FROM campaigns WHERE tenant_id = :tenant_id AND id = :id AND deleted_at IS NULL);

-- name: count :value
-- grows: tenant
-- The number of live campaigns; with :status, of those that have this status.
SELECT count(*)
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND deleted_at IS NULL
   AND status = :status    -- when :status
;

-- name: page :many
-- planned: q because the index finds what begins like a parameter only if the planner knows the parameter
-- One page of the live campaigns, newest first; :after_created_at and :after_id are those of the last row of the previous page.
SELECT id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
       created_at, updated_at, version
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND deleted_at IS NULL
   AND status = :status                                     -- when :status
   AND owner_id = :owner_id                                 -- when :owner_id
   AND brand_id = :brand_id                                 -- when :brand_id
   AND starts_with(search_name, lower(:q))                  -- when :q
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;

-- name: update :maybe
-- Changes those fields of a live campaign that :given lists, if its version is :version (without :version, whatever its version).
-- Otherwise returns it unchanged, with applied = false; no row if there is no such campaign.
WITH updated AS (
    UPDATE campaigns
       SET name         = CASE WHEN 'name' = ANY (:given::text[]) THEN :name ELSE name END,
           description  = CASE WHEN 'description' = ANY (:given) THEN :description ELSE description END,
           status       = CASE WHEN 'status' = ANY (:given) THEN :status ELSE status END,
           owner_id     = CASE WHEN 'owner_id' = ANY (:given) THEN :owner_id ELSE owner_id END,
           brand_id     = CASE WHEN 'brand_id' = ANY (:given) THEN :brand_id ELSE brand_id END,
           budget_minor = CASE WHEN 'budget_minor' = ANY (:given) THEN :budget_minor ELSE budget_minor END,
           currency     = CASE WHEN 'currency' = ANY (:given) THEN :currency ELSE currency END,
           starts_on    = CASE WHEN 'starts_on' = ANY (:given) THEN :starts_on ELSE starts_on END,
           ends_on      = CASE WHEN 'ends_on' = ANY (:given) THEN :ends_on ELSE ends_on END
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND version = :version    -- when :version
 RETURNING id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
           created_at, updated_at, version
)
SELECT id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
       created_at, updated_at, version, true AS applied
  FROM updated
 UNION ALL
SELECT id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
       created_at, updated_at, version, false AS applied
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM updated);

-- name: remove :value
-- Marks a live campaign as deleted, if its version is :version (without :version, whatever its version). Returns true if it was
-- marked, false if it has another version, and no row if there is no such campaign.
WITH removed AS (
    UPDATE campaigns
       SET deleted_at = now()
     WHERE tenant_id = :tenant_id
       AND id = :id
       AND deleted_at IS NULL
       AND version = :version    -- when :version
 RETURNING id
)
SELECT true AS applied
  FROM removed
 UNION ALL
SELECT false AS applied
  FROM campaigns
 WHERE tenant_id = :tenant_id
   AND id = :id
   AND deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM removed);

-- name: restore :one
-- Restores a deleted campaign; a campaign that is not deleted stays as it is.
   UPDATE campaigns
      SET deleted_at = NULL
    WHERE tenant_id = :tenant_id
      AND id = :id
RETURNING id, name, description, status, owner_id, brand_id, budget_minor, currency, starts_on, ends_on,
          created_at, updated_at, version;

-- name: erase :count
-- Deletes a campaign for good, instead of marking it as deleted. Its contents and the rows of its influencers are deleted with it
-- (ON DELETE CASCADE).
DELETE FROM campaigns
 WHERE tenant_id = :tenant_id
   AND id = :id;
