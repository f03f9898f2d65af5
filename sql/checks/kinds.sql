-- What kind of type each enum, range, composite type and domain is: a domain is of the type that it is based on.
SELECT format_type(t.oid, NULL) AS name,
       CASE t.typtype
           WHEN 'e' THEN 'enum'
           WHEN 'r' THEN 'range'
           WHEN 'm' THEN 'multirange'
           WHEN 'c' THEN 'composite'
           ELSE format_type(t.typbasetype, NULL)
       END AS kind
  FROM pg_catalog.pg_type AS t
 WHERE t.typtype IN ('e', 'r', 'm', 'd')
    -- The row type of a table is the table's.
    OR (t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c'));
