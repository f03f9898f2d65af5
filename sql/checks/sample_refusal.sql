-- The columns of the constraint or unique index $1 of the table on which sample rows are tried.
SELECT a.attname::text
  FROM pg_catalog.pg_attribute AS a
 WHERE a.attrelid = 'pg_temp.trial'::regclass
   AND a.attnum = ANY (coalesce((SELECT k.conkey
                                   FROM pg_catalog.pg_constraint AS k
                                  WHERE k.conrelid = a.attrelid AND k.conname = $1),
                                (SELECT i.indkey::int2[]
                                   FROM pg_catalog.pg_index AS i
                                   JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
                                  WHERE i.indrelid = a.attrelid AND c.relname = $1)))
 ORDER BY a.attnum;
