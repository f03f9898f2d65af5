-- repository: Log
-- The log records which rows of a tenant each committed transaction has changed. Each such transaction has a commit number.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- app.changes
--   tenant_id   uuid NOT NULL
--   xid         xid8 NOT NULL DEFAULT pg_current_xact_id()
--   ordinal     integer NOT NULL
--   table_name  text NOT NULL
--   operation   text NOT NULL
--   row_id      uuid NOT NULL
--   columns     text[]
--   PRIMARY KEY (tenant_id, xid, ordinal)
--   CHECK (operation = ANY (ARRAY['insert', 'update', 'delete']))
--   INDEX (tenant_id, row_id)
--   triggers: number_commit
--
-- app.commits
--   tenant_id   uuid NOT NULL
--   number      bigint NOT NULL
--   xid         xid8 NOT NULL
--   at          timestamptz NOT NULL DEFAULT clock_timestamp()
--   actor_id    uuid
--   session_id  uuid
--   ip          inet
--   request_id  text
--   PRIMARY KEY (tenant_id, number)
--   UNIQUE (tenant_id, xid)
--   INDEX (tenant_id, actor_id, number DESC) WHERE actor_id IS NOT NULL
--
-- app.heads
--   tenant_id  uuid NOT NULL
--   head       bigint NOT NULL DEFAULT 0
--   floor      bigint NOT NULL DEFAULT 0
--   PRIMARY KEY (tenant_id)
--   CHECK (floor >= 0 AND floor <= head)
-- End of the tables.

-- name: head :value
-- notnull: head because every tenant has a counter from its first moment
-- The number of the bound tenant's last commit.
SELECT head
  FROM app.heads
 WHERE tenant_id = :tenant_id;

-- name: poll :many
-- scope: shared
-- unbounded: one row for each tenant that is asked for
-- calls: app.heads because numbers of several tenants are polled at once; it answers nothing else of them
-- For each tenant in :tenants: the number of the last commit (head) and of the last pruned commit (floor); in each row also the
-- epoch and the number of the last change of shared data. If none of the tenants exists, one row without a tenant.
SELECT i.epoch, i.shared_number, h.tenant_id AS tenant, h.head, h.floor
  FROM app.installation AS i
  LEFT JOIN app.heads(:tenants) AS h ON true;

-- name: place :one
-- The number of the bound tenant's last commit (head) and of its last pruned commit (floor), with the epoch and the number of the
-- last change of shared data.
SELECT i.epoch, i.shared_number, h.head, h.floor
  FROM app.heads AS h
 CROSS JOIN app.installation AS i
 WHERE h.tenant_id = :tenant_id;

-- name: commits_since :many
-- The bound tenant's commits after the number :after, in order, at most :limit. A commit is returned with at most :most of its
-- changes; is_whole says whether these are all. The result ends earlier, as soon as its commits together have :budget changes or
-- more.
SELECT p.number, p.at, d.changes, p.counted <= :most AS is_whole
  FROM (SELECT c.number, c.at, c.xid, n.counted, sum(n.counted) OVER (ORDER BY c.number) AS total
          FROM (SELECT x.number, x.at, x.xid
                  FROM app.commits AS x
                 WHERE x.tenant_id = :tenant_id
                   AND x.number > :after
                 ORDER BY x.number
                 LIMIT :limit) AS c
         CROSS JOIN LATERAL (SELECT count(*) AS counted
                               FROM (SELECT
                                       FROM app.changes AS x
                                      WHERE x.tenant_id = :tenant_id
                                        AND x.xid = c.xid
                                      LIMIT :most + 1) AS h) AS n) AS p
 CROSS JOIN LATERAL (SELECT coalesce(jsonb_agg(jsonb_build_array(h.table_name, h.operation, h.row_id, h.columns) ORDER BY h.ordinal), '[]') AS changes
                       FROM (SELECT x.ordinal, x.table_name, x.operation, x.row_id, x.columns
                               FROM app.changes AS x
                              WHERE x.tenant_id = :tenant_id
                                AND x.xid = p.xid
                              ORDER BY x.ordinal
                              LIMIT :most) AS h) AS d
 WHERE p.total - p.counted < :budget::bigint
 ORDER BY p.number;

-- name: audit :many
-- grows: tenant
-- One page of the audit (who changed which row, and when), newest first; :after_number and :after_ordinal are those of the last
-- change on the previous page.
SELECT c.number, h.ordinal, c.at, c.actor_id, c.session_id, c.ip, c.request_id, h.table_name, h.operation, h.row_id, h.columns
  FROM app.commits AS c
  JOIN app.changes AS h ON h.tenant_id = c.tenant_id AND h.xid = c.xid
 WHERE c.tenant_id = :tenant_id
   AND h.tenant_id = :tenant_id
   AND c.actor_id = :actor_id                                        -- when :actor_id
   AND h.table_name = :table_name                                    -- when :table_name
   AND h.row_id = :row_id                                            -- when :row_id
   AND c.request_id = :request_id                                    -- when :request_id
   AND c.number <= :after_number                                     -- when :after_number
   AND (c.number, h.ordinal) < (:after_number, :after_ordinal)       -- when :after_number
 ORDER BY c.number DESC, h.ordinal DESC
 LIMIT :limit;

-- name: prune :value
-- grows: tenant
-- calls: app.prune_log because the log can't be written by the serving role; it asks for the bound tenant again
-- notnull: prune_log because every path of it returns a number
-- Deletes the bound tenant's oldest commits, if they are older than app.installation.log_retention, at most :limit at a time.
SELECT app.prune_log(:tenant_id, :limit);
