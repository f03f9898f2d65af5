-- repository: seed
-- Takes the niches away, all or none: refused while a brand or influencer has one.

-- name: niches :count
-- scope: owner
-- Nobody may look for references across tenants, so the foreign keys decide.
DELETE FROM app.niches;
