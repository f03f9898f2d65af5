-- repository: Niches
-- A niche is a field of interest of brands and influencers, such as fashion or travel. All tenants use the same niches.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- app.niches
--   id           uuid NOT NULL DEFAULT gen_random_uuid()
--   name         text NOT NULL
--   icon         text
--   description  text
--   is_active    boolean NOT NULL DEFAULT true
--   created_at   timestamptz NOT NULL DEFAULT now()
--   updated_at   timestamptz NOT NULL DEFAULT now()
--   version      integer NOT NULL DEFAULT 1
--   PRIMARY KEY (id)
--   UNIQUE (name)
--   CHECK (char_length(name) >= 1 AND char_length(name) <= 200)
--   INDEX (created_at DESC, id DESC)
--   triggers: number_shared, touch
-- End of the tables.

-- name: find :one
-- scope: shared
-- Finds a niche by its id.
SELECT id, name, icon, description, is_active, created_at, updated_at, version
  FROM app.niches
 WHERE id = :id;

-- name: page :many
-- scope: shared
-- One page of the niches, newest first; :after_created_at and :after_id are those of the last row of the previous page.
SELECT id, name, icon, description, is_active, created_at, updated_at, version
  FROM app.niches
 WHERE true
   AND is_active = :is_active                               -- when :is_active
   AND (created_at, id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY created_at DESC, id DESC
 LIMIT :limit;
