-- What sample rows are made from: a row per column that an INSERT may give, of every table of `app` and of the schema $1.
-- The tables of the migration tool are left out, and so are generated columns.
WITH own AS (
    -- A tenant is its own tenant.
    SELECT c.oid, c.relname, n.nspname,
           CASE WHEN (n.nspname, c.relname) = ('app', 'tenants') THEN 'id' ELSE 'tenant_id' END AS tenant
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p')
       AND NOT c.relispartition
       AND n.nspname IN ('app', $1)
       AND c.relname NOT IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', '_migration_checksums')
)
SELECT o.oid AS relation,
       format('%I.%I', o.nspname, o.relname) AS table_name,
       a.attnum AS number,
       a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS declared,
       format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS type_name,
       NOT a.attnotnull AS is_nullable,
       a.attname = o.tenant AS is_tenant,
       coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS initial,
       -- Identity columns and serial ones.
       a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%' AS is_from_sequence,
       ARRAY(SELECT e.enumlabel::text
               FROM pg_catalog.pg_enum AS e
              WHERE e.enumtypid = coalesce(nullif(t.typbasetype, 0), t.oid)
              ORDER BY e.enumsortorder) AS labels,
       EXISTS (SELECT
                 FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = o.oid AND a.attnum = ANY (i.indkey::int2[])) AS is_indexed,
       -- At most one row (per tenant): a unique key in which nothing can vary.
       EXISTS (SELECT
                 FROM pg_catalog.pg_index AS i
                WHERE i.indrelid = o.oid
                  AND i.indisunique
                  AND i.indpred IS NULL
                  AND NOT EXISTS (SELECT
                                    FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS u (number)
                                    LEFT JOIN pg_catalog.pg_attribute AS k
                                           ON k.attrelid = o.oid AND k.attnum = u.number
                                          AND (k.attname = o.tenant OR k.atttypid = 'boolean'::regtype
                                               OR EXISTS (SELECT
                                                            FROM pg_catalog.pg_constraint AS s
                                                           WHERE s.conrelid = o.oid
                                                             AND s.conkey = ARRAY[k.attnum]
                                                             AND pg_get_expr(s.conbin, s.conrelid) ~ '^\(\w+ = ''[^'']*''::text\)$'))
                                   WHERE k.attnum IS NULL)) AS is_single,
       ARRAY(SELECT pg_get_expr(k.conbin, k.conrelid)
               FROM pg_catalog.pg_constraint AS k
              WHERE k.conrelid = o.oid AND k.contype = 'c' AND a.attnum = ANY (k.conkey)
              ORDER BY k.conname) AS checks,
       r.parent,
       r.parent_column
  FROM own AS o
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN LATERAL (SELECT k.confrelid AS parent, p.attname::text AS parent_column
                       FROM pg_catalog.pg_constraint AS k
                      CROSS JOIN unnest(k.conkey, k.confkey) AS u (number, parent_number)
                       JOIN pg_catalog.pg_attribute AS p ON p.attrelid = k.confrelid AND p.attnum = u.parent_number
                      WHERE k.conrelid = o.oid AND k.contype = 'f' AND u.number = a.attnum AND a.attname <> o.tenant
                      ORDER BY k.conname
                      LIMIT 1) AS r ON true
 WHERE a.attgenerated = ''
 ORDER BY table_name, number;
