-- repository: Niches
-- A niche is a field of interest (fashion, travel, gaming …) that brands and influencers share across all tenants.

-- name: find :one
-- scope: shared
-- One niche.
SELECT id, name, icon, description, is_active, created_at, updated_at, version
  FROM app.niches
 WHERE id = :id;

-- name: page :many
-- scope: shared
-- One page of the niches, newest first; :after_* is the last row of the page before.
SELECT id, name, icon, description, is_active, created_at, updated_at, version
  FROM app.niches
 WHERE true
   AND is_active = :is_active                               -- when :is_active
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;
