-- repository: Installation
-- Data about the database as a whole: its epoch, whether maintenance mode is on, the last purge, the applied migrations.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- app.installation
--   only_row           boolean NOT NULL DEFAULT true
--   epoch              integer NOT NULL DEFAULT 1
--   system_identifier  bigint NOT NULL
--   timeline           integer NOT NULL
--   created_at         timestamptz NOT NULL DEFAULT now()
--   keys_check         bytea
--   log_retention      interval NOT NULL DEFAULT '1 year'::interval
--   deleted_retention  interval NOT NULL DEFAULT '90 days'::interval
--   shared_number      bigint NOT NULL DEFAULT 0
--   database_oid       oid NOT NULL
--   is_read_only       boolean NOT NULL DEFAULT false
--   purged_at          timestamptz
--   purge_failures     integer NOT NULL DEFAULT 0
--   PRIMARY KEY (only_row)
--   CHECK (deleted_retention >= '1 day'::interval)
--   CHECK (epoch > 0)
--   CHECK (octet_length(keys_check) = 32)
--   CHECK (log_retention >= '1 day'::interval)
--   CHECK (only_row)
-- End of the tables.

-- name: find :one
-- scope: shared
-- The only row of app.installation: the epoch, the number of the last change of shared data, how long the log is kept, whether
-- maintenance mode is on, how long ago the last purge began, and for how many tenants it failed.
SELECT epoch, shared_number, log_retention, is_read_only, purge_failures, now() - purged_at AS since_purged
  FROM app.installation;

-- name: enter_epoch :value
-- scope: shared
-- calls: app.enter_life because only the owner may raise the epoch
-- notnull: enter_life because every path of it returns the epoch
-- Returns the epoch. If the database was restored, promoted or copied after the last call, raises the epoch first.
SELECT app.enter_life();

-- name: raise_epoch :value
-- scope: platform
-- calls: app.raise_epoch because only the owner may raise the epoch
-- notnull: raise_epoch because the installation has its one row
-- Raises the epoch, because an operator has run `quarry changes reset`, and returns the new epoch.
SELECT app.raise_epoch();

-- name: set_read_only :value
-- scope: platform
-- notnull: xid because the installation has its one row
-- Switches maintenance mode on or off, and returns the id of this transaction.
   UPDATE app.installation
      SET is_read_only = :is_read_only
RETURNING pg_current_xact_id() AS xid;

-- name: has_settled :value
-- scope: platform
-- crosses: the command that ends maintenance is told whether others still write, no caller is
-- notnull: has_settled because a snapshot always has an oldest transaction
-- Whether transaction :xid has ended, and all transactions with smaller ids, which began to write before it, have ended too.
SELECT pg_snapshot_xmin(pg_current_snapshot()) > :xid AS has_settled;

-- name: migrations :many
-- scope: shared
-- unbounded: one row for each migration
-- calls: applied_migrations because yoyo's own tables are the owner's; it answers ids and nothing else
-- notnull: id because it is the key of yoyo's table
-- The ids of the migrations that are applied to the schema app and to the schema that tenants share.
SELECT m.id
  FROM applied_migrations() AS m;

-- name: own_migrations :many
-- scope: shared
-- unbounded: one row for each migration of each schema of a tenant's own
-- calls: app.own_migrations because yoyo's own tables are the owner's; it answers names of schemas and ids
-- notnull: schema_name because it is a column of app.schemas, NOT NULL
-- notnull: id because it is the key of yoyo's table
-- unrun: sample tenants have no schemas of their own, only rows that name some; tests/schema runs it on real ones
-- For each tenant's own schema: the ids of the migrations that are applied to it.
SELECT m.schema_name, m.id
  FROM app.own_migrations() AS m;
