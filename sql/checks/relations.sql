-- Every relation of the service with its columns, keys and policies, as the checks of statements need them.
SELECT c.oid::int8 AS oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       c.relrowsecurity AS is_secured,
       c.relforcerowsecurity AS is_forced,
       coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'security_invoker'),
                false) AS is_invoker,
       (SELECT json_agg(json_build_object(
                   'number', a.attnum, 'name', a.attname, 'type', a.atttypid::int8,
                   -- PostgreSQL 18 can have a NOT NULL that has not been validated: then there may be nulls.
                   -- And a table may have children without it.
                   'is_required', a.attnotnull AND NOT (c.relkind = 'r' AND c.relhassubclass) AND NOT EXISTS (SELECT
                                                                 FROM pg_catalog.pg_constraint AS k
                                                                WHERE k.conrelid = c.oid
                                                                  AND k.contype = 'n'
                                                                  AND NOT k.convalidated
                                                                  AND a.attnum = ANY (k.conkey)),
                   'has_default', a.atthasdef OR a.attidentity <> '' OR EXISTS (SELECT
                                                                                  FROM pg_catalog.pg_type AS t
                                                                                 WHERE t.oid = a.atttypid
                                                                                   AND t.typdefault IS NOT NULL))
                   ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute AS a
         WHERE a.attrelid = c.oid
           AND a.attnum > 0
           AND NOT a.attisdropped) AS columns,
       (SELECT json_agg(json_build_object(
                   'name', i.indexrelid::regclass::text, 'columns', (i.indkey::int2[])[0:i.indnkeyatts - 1],
                   -- A table's indexes do not cover its child tables; under another collation, more texts may be equal.
                   'is_unique', i.indisunique AND i.indisvalid AND i.indimmediate
                                AND NOT (c.relkind = 'r' AND c.relhassubclass)
                                -- Another operator class may treat values as different that = treats as equal.
                                AND NOT EXISTS (SELECT
                                                  FROM pg_catalog.pg_opclass AS o
                                                 WHERE o.oid = ANY (i.indclass::oid[])
                                                   AND NOT o.opcdefault)
                                AND NOT EXISTS (SELECT
                                                  FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS u (number, collated)
                                                  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = u.number
                                                 WHERE u.collated <> 0 AND a.attcollation <> u.collated)
                                -- For expressions, only the built-in collations are known to keep different texts apart.
                                AND NOT EXISTS (SELECT
                                                  FROM unnest(i.indkey::int2[], i.indcollation::oid[]) AS u (number, collated)
                                                 WHERE u.number = 0 AND u.collated::int8 NOT IN (0, 100, 950, 951)),
                   'parts', i.indkey::int2[], 'expressions', i.indexprs::text, 'predicate', i.indpred::text)
                   ORDER BY i.indexrelid::regclass::text)
          FROM pg_catalog.pg_index AS i
         WHERE i.indrelid = c.oid) AS indexes,
       -- Whether a BEFORE INSERT row trigger exists: it may change the row or skip it.
       EXISTS (SELECT
                 FROM pg_catalog.pg_trigger AS t
                WHERE t.tgrelid = c.oid
                  AND t.tgtype & 7 = 7
                  AND NOT t.tgisinternal) AS has_before_insert_trigger,
       (SELECT json_agg(pg_get_constraintdef(k.oid) ORDER BY k.conname)
          FROM pg_catalog.pg_constraint AS k
         WHERE k.conrelid = c.oid
           AND k.contype = 'c'
           AND k.convalidated) AS checks,
       (SELECT json_agg(json_build_object('name', p.polname, 'using', pg_get_expr(p.polqual, p.polrelid),
                                          'check', pg_get_expr(p.polwithcheck, p.polrelid)) ORDER BY p.polname)
          FROM pg_catalog.pg_policy AS p
         WHERE p.polrelid = c.oid) AS policies
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p', 'v')
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND c.relname NOT IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', '_migration_checksums')
 ORDER BY n.nspname, c.relname;
