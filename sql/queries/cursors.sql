-- repository: Cursors
-- A cursor stores up to which commit a consumer has handled a tenant's log. A process locks it while it calls the consumer.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- app.cursors
--   tenant_id   uuid NOT NULL +i
--   consumer    text NOT NULL +i
--   epoch       integer NOT NULL +i +u
--   number      bigint NOT NULL +i +u
--   failures    integer NOT NULL DEFAULT 0 +u
--   retry_at    timestamptz +u
--   cut_off_at  timestamptz +u
--   moved_at    timestamptz NOT NULL DEFAULT now() +u
--   PRIMARY KEY (tenant_id, consumer)
--   CHECK (consumer ~ '^[a-z][a-z0-9_]{0,62}$')
--   CHECK (failures >= 0)
--   CHECK (number >= 0)
-- End of the tables.

-- name: waiting :many
-- scope: shared
-- grows: tenant
-- unbounded: app.waiting answers :limit rows at most
-- calls: app.waiting because a process hands on the streams of all tenants; it answers their ids and nothing else
-- notnull: tenant because it is a column of app.cursors, NOT NULL
-- crosses: the service itself is told which tenants wait, no caller is
-- At most :limit tenants for which the consumer has something to handle: it has no cursor for the tenant, or there are commits
-- after its cursor, or its cursor is of another epoch. Tenants for which the consumer is paused after a failure are left out.
SELECT w.tenant_id AS tenant
  FROM app.waiting(:consumer, :limit) AS w;

-- name: lag :many
-- scope: shared
-- grows: tenant
-- unbounded: one row for each consumer, and consumers are code
-- calls: app.consumer_lag because health is about all tenants; it answers numbers and names of consumers
-- notnull: consumer because it is what the function groups by, NOT NULL
-- notnull: tenants because it is a count
-- notnull: failing because it is a count
-- notnull: cut_off because it is a count
-- crosses: operators see totals over all tenants, and callers see nothing
-- For each consumer: the numbers of tenants in which it is behind, is failing, and is cut off; and the time of the oldest commit
-- that it has not handled, with the age of this commit.
SELECT l.consumer, l.tenants, l.failing, l.cut_off, l.oldest, now() - l.oldest AS behind
  FROM app.consumer_lag() AS l
 ORDER BY l.consumer;

-- name: forget :value
-- scope: platform
-- grows: tenant
-- calls: app.forget_consumer because a consumer that no longer exists is removed for all tenants
-- notnull: forget_consumer because it is a count
-- Deletes the cursors of a consumer that no longer exists, for all tenants. Returns the number of cursors.
SELECT app.forget_consumer(:consumer);

-- name: open :count
-- Creates the cursor of a consumer that has none for this tenant. The cursor's epoch is 0, which no database has. So the consumer
-- gets a reset first, except if the tenant's log is complete and began after the consumers were started.
INSERT INTO app.cursors (tenant_id, consumer, epoch, number)
VALUES (:tenant_id, :consumer, 0, 0)
    ON CONFLICT ON CONSTRAINT cursors_pkey DO NOTHING;

-- name: take :maybe
-- Locks a consumer's cursor until the transaction ends, and returns it. No row if there is no cursor, if another process has
-- locked it, or while the consumer is paused after a failure.
SELECT epoch, number, failures, cut_off_at
  FROM app.cursors
 WHERE tenant_id = :tenant_id
   AND consumer = :consumer
   AND (retry_at IS NULL OR retry_at <= now())
   FOR UPDATE SKIP LOCKED;

-- name: move :count
-- Stores the epoch and number up to which a consumer has handled the commits. It is then neither paused nor cut off any more, and
-- its number of failures is 0.
UPDATE app.cursors
   SET epoch      = :epoch,
       number     = :number,
       failures   = 0,
       retry_at   = NULL,
       cut_off_at = NULL,
       moved_at   = now()
 WHERE tenant_id = :tenant_id
   AND consumer = :consumer;

-- name: fail :count
-- Counts a failure of a consumer. The consumer is not called again for this tenant before the time :pause has passed.
UPDATE app.cursors
   SET failures = failures + 1,
       retry_at = now() + :pause::interval
 WHERE tenant_id = :tenant_id
   AND consumer = :consumer;

-- name: cut_off :count
-- Records that a consumer is cut off: it is too far behind in this tenant, and gets no commits before it has handled a reset.
UPDATE app.cursors
   SET cut_off_at = now()
 WHERE tenant_id = :tenant_id
   AND consumer = :consumer
   AND cut_off_at IS NULL;
