-- repository: seed
-- Takes the niches away that no brand or influencer uses.

-- name: niches :count
-- scope: owner
-- The owner may look for references across tenants only where policies let it: so the foreign keys decide.
DELETE FROM app.niches
;
