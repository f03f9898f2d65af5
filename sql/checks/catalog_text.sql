-- The catalog as text: one row (kind, name, parent, definition) per object outside the system's schemas, yoyo's bookkeeping left out.
-- Two schemas are the same when these rows are: owners and the order of privileges say nothing, the order of columns does.
WITH schemas AS (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl
      FROM pg_catalog.pg_namespace AS n
     WHERE n.nspname !~ '^pg_'
       AND n.nspname <> 'information_schema'
), relations AS (
    SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, format('%I.%I', n.nspname, c.relname) AS name,
           concat_ws(' ', c.relpersistence, 'with', c.reloptions::text, 'replica identity', c.relreplident,
                     CASE WHEN c.relrowsecurity THEN 'row level security' END,
                     CASE WHEN c.relforcerowsecurity THEN 'forced' END,
                     pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid),
                     (SELECT string_agg(h.inhparent::regclass::text, ', ' ORDER BY h.inhseqno)
                        FROM pg_catalog.pg_inherits AS h
                       WHERE h.inhrelid = c.oid)) AS properties
      FROM pg_catalog.pg_class AS c
      JOIN schemas AS n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c', 'S')
       AND c.relname !~ '^(_yoyo_|yoyo_lock$|_migration_checksums$)'
), functions AS (
    SELECT f.oid, f.proname, f.prokind, f.proowner, f.proacl,
           format('%I.%I(%s)', n.nspname, f.proname, oidvectortypes(f.proargtypes)) AS name
      FROM pg_catalog.pg_proc AS f
      JOIN schemas AS n ON n.oid = f.pronamespace
), types AS (
    -- Only independent types: a table's row type and the array of it belong to the table.
    SELECT t.oid, t.typname, t.typtype, t.typbasetype, t.typtypmod, t.typnotnull, t.typdefault, t.typcollation, t.typowner, t.typacl,
           format('%I.%I', n.nspname, t.typname) AS name
      FROM pg_catalog.pg_type AS t
      JOIN schemas AS n ON n.oid = t.typnamespace
     WHERE t.typtype IN ('e', 'd', 'r')
), granted (name, parent, acl) AS (
    SELECT 'schema ' || nspname, NULL, coalesce(nspacl, acldefault('n', nspowner)) FROM schemas
     UNION ALL
    SELECT name, relname, coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, relowner))
      FROM relations
     WHERE relkind <> 'c'
     UNION ALL
    SELECT r.name || '.' || a.attname, r.relname, a.attacl
      FROM relations AS r
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
     UNION ALL
    SELECT 'function ' || name, proname, coalesce(proacl, acldefault('f', proowner)) FROM functions
     UNION ALL
    SELECT 'type ' || name, typname, coalesce(typacl, acldefault('T', typowner)) FROM types
     UNION ALL
    SELECT format('whatever %s makes (%s) in %s', pg_get_userbyid(d.defaclrole), d.defaclobjtype,
                  coalesce(d.defaclnamespace::regnamespace::text, 'any schema')), NULL, d.defaclacl
      FROM pg_catalog.pg_default_acl AS d
)
SELECT 'schema' AS kind, nspname::text AS name, NULL::text AS parent, '' AS definition FROM schemas
 UNION ALL
SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'type' ELSE 'table' END,
       name, relname::text, concat_ws(' ', properties, CASE WHEN relkind IN ('v', 'm') THEN pg_get_viewdef(oid) END)
  FROM relations
 WHERE relkind <> 'S'
 UNION ALL
SELECT 'sequence', r.name, r.relname::text,
       concat_ws(' ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle,
                 (SELECT format('of %s.%s', d.refobjid::regclass, d.refobjsubid)
                    FROM pg_catalog.pg_depend AS d
                   WHERE d.objid = r.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0))
  FROM relations AS r
  JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = r.oid
 UNION ALL
SELECT 'type', t.name, t.typname::text,
       concat_ws(' ', t.typtype,
                 (SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid),
                 (SELECT format_type(g.rngsubtype, NULL) FROM pg_catalog.pg_range AS g WHERE g.rngtypid = t.oid),
                 CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
                 CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault,
                 CASE WHEN t.typtype = 'd' AND t.typcollation <> 0 THEN t.typcollation::regcollation::text END)
  FROM types AS t
 UNION ALL
SELECT 'column', r.name || '.' || a.attname, r.relname::text,
       concat_ws(' ', 'at', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attcollation <> 0 THEN 'collate ' || a.attcollation::regcollation::text END,
                 CASE WHEN a.attnotnull THEN 'not null' END, 'identity ' || nullif(a.attidentity::text, ''),
                 CASE a.attgenerated WHEN 's' THEN 'stored' WHEN 'v' THEN 'virtual' END, 'default ' || pg_get_expr(d.adbin, d.adrelid),
                 'storage', a.attstorage, a.attcompression,
                 -- Patched minors write a number of their own there.
                 (SELECT string_agg(o, ',') FROM unnest(a.attoptions) AS o WHERE o !~ '^pg_attver='), 'statistics ' || nullif(a.attstattarget, -1))
  FROM relations AS r
  JOIN pg_catalog.pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE r.relkind <> 'S'
 UNION ALL
SELECT 'constraint', coalesce(r.name, t.name) || '.' || k.conname, coalesce(r.relname, t.typname)::text,
       concat_ws(' ', pg_get_constraintdef(k.oid), CASE WHEN NOT k.convalidated THEN 'not validated' END)
  FROM pg_catalog.pg_constraint AS k
  LEFT JOIN relations AS r ON r.oid = k.conrelid
  LEFT JOIN types AS t ON t.oid = k.contypid
 WHERE coalesce(r.oid, t.oid) IS NOT NULL
   AND k.contype <> 't'
 UNION ALL
SELECT 'index', format('%I.%I', n.nspname, x.relname), r.relname::text,
       concat_ws(' ', pg_get_indexdef(i.indexrelid), x.reloptions::text, CASE WHEN NOT i.indisvalid THEN 'not valid' END,
                 CASE WHEN i.indisclustered THEN 'clustered' END, CASE WHEN i.indisreplident THEN 'replica identity' END)
  FROM pg_catalog.pg_index AS i
  JOIN relations AS r ON r.oid = i.indrelid
  JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
  JOIN schemas AS n ON n.oid = x.relnamespace
 UNION ALL
SELECT 'policy', r.name || '.' || p.polname, r.relname::text,
       format('%s for %s to %s using %s check %s', CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, p.polcmd,
              (SELECT string_agg(CASE u.oid WHEN 0 THEN 'public' ELSE pg_get_userbyid(u.oid) END, ', ' ORDER BY pg_get_userbyid(u.oid))
                 FROM unnest(p.polroles) AS u (oid)),
              pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid))
  FROM pg_catalog.pg_policy AS p
  JOIN relations AS r ON r.oid = p.polrelid
 UNION ALL
SELECT 'trigger', r.name || '.' || g.tgname, r.relname::text, concat_ws(' enabled ', pg_get_triggerdef(g.oid), g.tgenabled)
  FROM pg_catalog.pg_trigger AS g
  JOIN relations AS r ON r.oid = g.tgrelid
 WHERE NOT g.tgisinternal
 UNION ALL
SELECT 'rule', r.name || '.' || u.rulename, r.relname::text, concat_ws(' enabled ', pg_get_ruledef(u.oid), u.ev_enabled)
  FROM pg_catalog.pg_rewrite AS u
  JOIN relations AS r ON r.oid = u.ev_class
 WHERE u.rulename <> '_RETURN'
 UNION ALL
SELECT 'function', f.name, f.proname::text,
       CASE f.prokind
       WHEN 'a' THEN (SELECT concat_ws(' ', a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggtranstype::regtype, a.agginitval, a.aggsortop)
                        FROM pg_catalog.pg_aggregate AS a
                       WHERE a.aggfnoid = f.oid)
       ELSE pg_get_functiondef(f.oid)
       END
  FROM functions AS f
 UNION ALL
SELECT 'grant', format('on %s to %s', g.name, CASE a.grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(a.grantee)::text END), g.parent,
       string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN ' with grant option' ELSE '' END, ', ' ORDER BY a.privilege_type, a.is_grantable)
  FROM granted AS g
 CROSS JOIN LATERAL aclexplode(g.acl) AS a
 GROUP BY g.name, g.parent, a.grantee
 UNION ALL
SELECT 'comment', format('on %s %s', i.type, i.identity), NULL, d.description
  FROM pg_catalog.pg_description AS d
 CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) AS i
 -- What initdb has made has lower numbers.
 WHERE d.objoid >= 16384
 UNION ALL
-- For the kinds of object that are rare here, only their existence is compared.
SELECT i.type, i.identity, NULL, ''
  FROM (SELECT tableoid, oid FROM pg_catalog.pg_extension
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_event_trigger
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_publication
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_publication_rel
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_statistic_ext
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_foreign_data_wrapper
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_foreign_server
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_collation
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_operator
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_opclass
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_opfamily
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_cast
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_ts_config
         UNION ALL SELECT tableoid, oid FROM pg_catalog.pg_ts_dict) AS o
 CROSS JOIN LATERAL pg_identify_object(o.tableoid, o.oid, 0) AS i
 WHERE o.oid >= 16384;
