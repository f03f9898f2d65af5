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
SELECT epoch, system_identifier, timeline, log_retention
  FROM app.installation;

-- name: audit :many
-- One page of what was done to which row by whom, newest first; :after_* is the last change of the page before.
SELECT c.number, h.ordinal, c.at, c.actor_id, c.session_id, c.ip, c.request_id, h.table_name, h.operation, h.row_id, h.columns
  FROM app.commits AS c
  JOIN app.changes AS h ON h.tenant_id = c.tenant_id AND h.xid = c.xid
 WHERE c.tenant_id = :tenant_id
   AND h.tenant_id = :tenant_id
   AND c.actor_id = :actor_id                                        -- when :actor_id
   AND h.table_name = :table_name                                    -- when :table_name
   AND h.row_id = :row_id                                            -- when :row_id
   AND c.number <= :after_number                                     -- when :after_number
   AND (c.number, h.ordinal) < (:after_number, :after_ordinal)       -- when :after_number
 ORDER BY c.number DESC, h.ordinal DESC
 LIMIT :limit;

-- name: prune :value
-- Forgets some of the commits that are older than the retention, which the database itself knows.
SELECT app.prune_log(:tenant_id, :limit);
