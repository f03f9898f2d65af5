-- What runs when rows of a table of the service are written, and no statement says so: triggers, defaults and generated columns,
-- CHECKs, also of domains, keys and conditions of indexes. The expressions are PostgreSQL's own trees.
WITH tables AS (
    SELECT c.oid, format('%s.%s', n.nspname, c.relname) AS name
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v')
       AND n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
       AND c.relname NOT IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', '_migration_checksums')
)
SELECT format('trigger %s of %s', t.tgname, r.name) AS what, t.tgfoid::int8 AS function, t.tgqual::text AS expression
  FROM tables AS r
  JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid
 WHERE NOT t.tgisinternal
UNION ALL
SELECT format('default of %s.%s', r.name, a.attname), 0, d.adbin::text
  FROM tables AS r
  JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = r.oid
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
UNION ALL
SELECT format('CHECK %s of %s', k.conname, r.name), 0, k.conbin::text
  FROM tables AS r
  JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid
 WHERE k.conbin IS NOT NULL
UNION ALL
SELECT format('CHECK %s of the domain %s', k.conname, k.contypid::regtype), 0, k.conbin::text
  FROM pg_catalog.pg_constraint AS k
  JOIN pg_catalog.pg_type AS t ON t.oid = k.contypid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
 WHERE k.conbin IS NOT NULL
   AND n.nspname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT format('index %s of %s', i.indexrelid::regclass, r.name), 0, e.tree::text
  FROM tables AS r
  JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
 CROSS JOIN LATERAL (VALUES (i.indexprs), (i.indpred)) AS e (tree)
 WHERE e.tree IS NOT NULL
UNION ALL
SELECT format('policy %s of %s', p.polname, r.name), 0, e.tree::text
  FROM tables AS r
  JOIN pg_catalog.pg_policy AS p ON p.polrelid = r.oid
 CROSS JOIN LATERAL (VALUES (p.polqual), (p.polwithcheck)) AS e (tree)
 WHERE e.tree IS NOT NULL
UNION ALL
SELECT format('partition key of %s', r.name), 0, k.partexprs::text
  FROM tables AS r
  JOIN pg_catalog.pg_partitioned_table AS k ON k.partrelid = r.oid
 WHERE k.partexprs IS NOT NULL
UNION ALL
-- What the server looks up when it runs: casts, also those to json, and the functions that support operator classes.
SELECT format('cast from %s to %s', c.castsource::regtype, c.casttarget::regtype), c.castfunc::int8, NULL
  FROM pg_catalog.pg_cast AS c
 WHERE c.oid >= 16384
   AND c.castfunc <> 0
UNION ALL
SELECT format('operator family %s', f.opfname), a.amproc::oid::int8, NULL
  FROM pg_catalog.pg_amproc AS a
  JOIN pg_catalog.pg_opfamily AS f ON f.oid = a.amprocfamily
 WHERE a.oid >= 16384
 ORDER BY 1;
