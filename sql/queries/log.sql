-- repository: Log
-- The log holds every committed change of a tenant under one number per transaction.

-- name: head :value
-- The number of the tenant's last commit.
SELECT head
  FROM app.heads
 WHERE tenant_id = :tenant_id;

-- name: installation :one
-- scope: shared
-- Which life of the database this is.
SELECT epoch, system_identifier, timeline
  FROM app.installation;
