-- What should not be in a migrated database: (code, object, message, remedy). $1 are the roles of requests.
WITH tables AS (
    SELECT c.oid, c.relname, format('%s.%s', n.nspname, c.relname) AS name
      FROM pg_catalog.pg_class AS c
      JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p')
       AND n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
       AND c.relname NOT IN ('_yoyo_log', '_yoyo_migration', '_yoyo_version', 'yoyo_lock', '_migration_checksums')
)
SELECT 'rule-on-table' AS code, r.name AS object, format('the rule %s of %s runs statements that nobody reads', w.rulename, r.name) AS message,
       'write a trigger, or the statement itself' AS remedy
  FROM tables AS r
  JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = r.oid
 UNION ALL
SELECT 'trigger-disabled', r.name, format('the trigger %s of %s is disabled', t.tgname, r.name), format('ALTER TABLE %s ENABLE TRIGGER %I', r.name, t.tgname)
  FROM tables AS r
  JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = r.oid
 WHERE t.tgenabled NOT IN ('O', 'A')
 UNION ALL
SELECT 'index-invalid', r.name, format('the index %s of %s is not valid', i.indexrelid::regclass, r.name), format('REINDEX INDEX CONCURRENTLY %s', i.indexrelid::regclass)
  FROM tables AS r
  JOIN pg_catalog.pg_index AS i ON i.indrelid = r.oid
 WHERE NOT i.indisvalid
 UNION ALL
SELECT 'constraint-not-validated', r.name, format('the constraint %s of %s is not validated', k.conname, r.name), format('ALTER TABLE %s VALIDATE CONSTRAINT %I', r.name, k.conname)
  FROM tables AS r
  JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid
 WHERE NOT k.convalidated
 UNION ALL
-- Deleting a row of the other table looks through this one.
SELECT 'foreign-key-unindexed', r.name, format('no index of %s begins with the columns of the foreign key %s', r.name, k.conname),
       format('CREATE INDEX CONCURRENTLY ON %s (%s)', r.name, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.place)
                                                                 FROM unnest(k.conkey) WITH ORDINALITY AS u (number, place)
                                                                 JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum = u.number))
  FROM tables AS r
  JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid AND k.contype = 'f' AND k.conparentid = 0
 WHERE NOT EXISTS (SELECT
                     FROM pg_catalog.pg_index AS i
                    WHERE i.indrelid = r.oid
                      AND i.indisvalid
                      -- Partial ones that leave out NULL keys will do: NULL refers to nothing.
                      AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$')
                      AND (i.indkey::int2[])[0:cardinality(k.conkey) - 1] @> k.conkey)
 UNION ALL
SELECT 'privilege-unneeded', r.name, format('%s may %s %s', o.rolname, p.privilege, r.name), format('REVOKE %s ON %s FROM %I', p.privilege, r.name, o.rolname)
  FROM tables AS r
 CROSS JOIN pg_catalog.pg_roles AS o
 CROSS JOIN (VALUES ('TRUNCATE'), ('REFERENCES'), ('TRIGGER'), ('MAINTAIN')) AS p (privilege)
 WHERE o.rolname = ANY ($1::text[])
   AND (p.privilege <> 'MAINTAIN' OR current_setting('server_version_num')::int >= 170000)
   AND CASE WHEN p.privilege <> 'MAINTAIN' OR current_setting('server_version_num')::int >= 170000
            THEN has_table_privilege(o.oid, r.oid, p.privilege) END
 UNION ALL
SELECT 'privilege-by-default', o.rolname, format('%s is granted rights on whatever %s makes', CASE WHEN o.oid IS NULL THEN 'PUBLIC' ELSE o.rolname END, d.defaclrole::regrole),
       'ALTER DEFAULT PRIVILEGES … REVOKE, and grant what statements need, object by object'
  FROM pg_catalog.pg_default_acl AS d
 CROSS JOIN LATERAL aclexplode(d.defaclacl) AS a
  LEFT JOIN pg_catalog.pg_roles AS o ON o.oid = a.grantee
 WHERE o.oid IS NULL
    OR o.rolname = ANY ($1::text[])
 UNION ALL
SELECT 'view-with-owners-rights', format('%s.%s', n.nspname, c.relname), format('%s.%s is read with the rights of its owner', n.nspname, c.relname),
       format('ALTER VIEW %s.%s SET (security_invoker = true)', n.nspname, c.relname)
  FROM pg_catalog.pg_class AS c
  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
 CROSS JOIN pg_catalog.pg_roles AS o
 WHERE c.relkind IN ('v', 'm')
   AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND o.rolname = ANY ($1::text[])
   AND has_any_column_privilege(o.oid, c.oid, 'SELECT')
   AND NOT coalesce((SELECT o.option_value::boolean FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'security_invoker'),
                    false)
 UNION ALL
-- A row of one tenant could refer to a row of another, and be deleted with it.
SELECT 'foreign-key-without-tenant', r.name, format('the foreign key %s of %s does not compare the tenants of the two rows', k.conname, r.name),
       'FOREIGN KEY (tenant_id, …) REFERENCES … (tenant_id, …)'
  FROM tables AS r
  JOIN pg_catalog.pg_constraint AS k ON k.conrelid = r.oid AND k.contype = 'f'
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attname = 'tenant_id'
  JOIN pg_catalog.pg_attribute AS b ON b.attrelid = k.confrelid AND b.attname = 'tenant_id'
 WHERE NOT EXISTS (SELECT
                     FROM unnest(k.conkey, k.confkey) AS u (one, other)
                    WHERE (u.one, u.other) = (a.attnum, b.attnum))
 UNION ALL
SELECT 'table-inherited', r.name, format('reading %s reads %s too, without its policies', r.name, h.inhrelid::regclass), 'make it a table of its own'
  FROM tables AS r
  JOIN pg_catalog.pg_class AS c ON c.oid = r.oid AND c.relkind = 'r'
  JOIN pg_catalog.pg_inherits AS h ON h.inhparent = r.oid
 UNION ALL
SELECT 'function-leakproof', format('%s.%s', n.nspname, f.proname), format('%s.%s is LEAKPROOF, and sees rows before the policies do', n.nspname, f.proname),
       format('ALTER FUNCTION %s NOT LEAKPROOF', f.oid::regprocedure)
  FROM pg_catalog.pg_proc AS f
  JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
 WHERE f.proleakproof
   AND f.oid >= 16384
 ORDER BY 1, 2, 3;
