-- repository: Server
-- Facts about the database server, mostly for /healthz: size and clock, long transactions, collations, replication.

-- name: size :value
-- scope: shared
-- crosses: operators are told how large it all is, no caller is
-- notnull: size because the database is the one that is connected to
-- The size of the database in bytes.
SELECT pg_database_size(current_database()) AS size;

-- name: now :value
-- scope: shared
-- The present time by the database's clock. Only this clock decides whether something has expired.
SELECT now();

-- name: is_writable :value
-- scope: shared
-- notnull: is_writable because both settings are always there
-- Whether new transactions of this session can write by default: not on a replica, and not if default_transaction_read_only is
-- on.
SELECT NOT (current_setting('default_transaction_read_only')::boolean OR pg_is_in_recovery()) AS is_writable;

-- name: drifted_collations :many
-- scope: shared
-- unbounded: one row for each collation of the system
-- crosses: operators are told about collations, which are no tenant's
-- unrun: collations drift only when the operating system is updated, which no sample does
-- notnull: name because a name is never null, nor what is made of one
-- The collations whose version in the operating system is not the recorded one any more, so indexes that use them may be wrong.
-- 'default' stands for the database's default collation.
SELECT c.collname::text AS name
  FROM pg_catalog.pg_collation AS c
 WHERE c.collversion <> pg_collation_actual_version(c.oid)
 UNION ALL
SELECT 'default' AS name
  FROM pg_catalog.pg_database AS d
 WHERE d.datname = current_database()
   AND d.datcollversion <> pg_database_collation_actual_version(d.oid);

-- name: transactions :one
-- scope: shared
-- one: a database has one name
-- crosses: operators are told how old transactions are, no caller is
-- notnull: age because every database has a frozen transaction id
-- The age of the oldest transaction id in this database that is not frozen, and how long the oldest open transaction of a client
-- has been running.
SELECT age(d.datfrozenxid) AS age,
       (SELECT max(now() - a.xact_start)
          FROM pg_catalog.pg_stat_activity AS a
         WHERE a.datname = d.datname
           AND a.backend_type = 'client backend') AS longest
  FROM pg_catalog.pg_database AS d
 WHERE d.datname = current_database();

-- name: standing :one
-- scope: shared
-- crosses: operators are told how far a server has come, no caller is
-- notnull: is_replica because a server always knows what it is
-- Whether this server is a replica; how many bytes of the write-ahead log it has replayed (a replica) or written (a primary);
-- and, on a replica, the age of the last transaction that it has replayed.
SELECT pg_is_in_recovery() AS is_replica,
       CASE WHEN pg_is_in_recovery()
            THEN pg_last_wal_replay_lsn()
            ELSE pg_current_wal_lsn()
        END - '0/0'::pg_lsn AS position,
       clock_timestamp() - pg_last_xact_replay_timestamp() AS since_replayed;
