-- repository: seed
-- Deletes all niches, or none of them: this is refused while a brand or an influencer has one.

-- name: niches :count
-- scope: owner
-- No role can look for references in all tenants, so the foreign keys decide whether the niches can be deleted.
DELETE FROM app.niches;
