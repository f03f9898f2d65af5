-- What the transaction of a migration holds, and what has become of the tables $1, which were there before it: one JSON document. Tables
-- are told by their numbers, because a name may change on the way.
SELECT jsonb_build_object(
    'locks', (SELECT coalesce(jsonb_agg(jsonb_build_array(l.relation::int8, l.mode)), '[]')
                FROM pg_catalog.pg_locks AS l
               WHERE l.pid = pg_backend_pid()
                 AND l.locktype = 'relation'
                 AND l.granted
                 AND l.relation = ANY ($1::oid[])),
    'files', (SELECT coalesce(jsonb_agg(jsonb_build_array(c.oid::int8, c.relfilenode::int8)), '[]')
                FROM pg_catalog.pg_class AS c
               WHERE c.oid = ANY ($1::oid[])),
    'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_array(i.indrelid::int8, x.relname)), '[]')
                  FROM pg_catalog.pg_index AS i
                  JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
                 WHERE i.indrelid = ANY ($1::oid[])),
    -- One that is not validated has looked at no row yet.
    'references', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.conname, k.conrelid::int8, k.confrelid::int8)), '[]')
                     FROM pg_catalog.pg_constraint AS k
                    WHERE k.contype = 'f'
                      AND k.convalidated
                      AND k.conparentid = 0),
    -- Constraints that have looked at all rows, and columns in which NULL is refused.
    'checks', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.conname, k.conrelid::int8, pg_get_constraintdef(k.oid))), '[]')
                 FROM pg_catalog.pg_constraint AS k
                WHERE k.contype = 'c'
                  AND k.convalidated
                  AND k.conrelid = ANY ($1::oid[])),
    -- All CHECKs that rows written from now on have to pass, with their columns.
    'refusing', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.conname, k.conrelid::int8, pg_get_constraintdef(k.oid),
                                                             ARRAY(SELECT a.attname
                                                                     FROM pg_catalog.pg_attribute AS a
                                                                    WHERE a.attrelid = k.conrelid
                                                                      AND a.attnum = ANY (k.conkey)))), '[]')
                   FROM pg_catalog.pg_constraint AS k
                  WHERE k.contype = 'c'
                    AND k.conrelid = ANY ($1::oid[])),
    'promised', (SELECT coalesce(jsonb_agg(jsonb_build_array(k.conname, k.conrelid::int8)), '[]')
                   FROM pg_catalog.pg_constraint AS k
                  WHERE NOT k.convalidated
                    AND k.conrelid = ANY ($1::oid[])),
    'columns', (SELECT coalesce(jsonb_agg(jsonb_build_array(a.attname, a.attrelid::int8, a.attnotnull, a.atthasdef OR a.attidentity <> '')), '[]')
                  FROM pg_catalog.pg_attribute AS a
                 WHERE a.attrelid = ANY ($1::oid[])
                   AND a.attnum > 0
                   AND NOT a.attisdropped),
    'changed', (SELECT coalesce(jsonb_agg(jsonb_build_array(c.oid::int8, pg_stat_get_xact_tuples_updated(c.oid),
                                                            pg_stat_get_xact_tuples_deleted(c.oid))), '[]')
                  FROM pg_catalog.pg_class AS c
                 WHERE c.oid = ANY ($1::oid[])),
    'forced', (SELECT coalesce(jsonb_object_agg(c.oid, format('%s.%s', n.nspname, c.relname)), '{}')
                 FROM pg_catalog.pg_class AS c
                 JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.relrowsecurity
                  AND c.relforcerowsecurity));
