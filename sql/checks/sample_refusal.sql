-- The columns of the constraint or unique index $1 of the table on which sample rows are tried.
SELECT a.attname::text
  FROM pg_catalog.pg_attribute AS a
 WHERE a.attrelid = 'pg_temp.trial'::regclass
   AND a.attnum = ANY (coalesce((SELECT k.conkey
                                   FROM pg_catalog.pg_constraint AS k
                                  WHERE k.conrelid = a.attrelid AND k.conname = $1),
                                -- An index of expressions depends on the columns in them.
                                (SELECT array_agg(d.refobjsubid::int2)
                                   FROM pg_catalog.pg_class AS c
                                   JOIN pg_catalog.pg_depend AS d ON d.classid = c.tableoid AND d.objid = c.oid
                                  WHERE d.refobjid = a.attrelid AND c.relname = $1)))
 ORDER BY a.attnum;
