-- An expression that is some value of the type named $1, by the kind of the type.
SELECT CASE
           WHEN t.typtype = 'e' THEN format('%L::%s', (SELECT e.enumlabel
                                                         FROM pg_catalog.pg_enum AS e
                                                        WHERE e.enumtypid = t.oid
                                                        ORDER BY e.enumsortorder
                                                        LIMIT 1), $1::text)
           WHEN t.typtype = 'r' THEN format('%L::%s', '(,)', $1::text)
           WHEN t.typtype = 'm' THEN format('%L::%s', '{(,)}', $1::text)
           WHEN t.typtype = 'c' THEN format('%L::%s', (SELECT '(' || repeat(',', count(*)::int - 1) || ')'
                                                         FROM pg_catalog.pg_attribute AS a
                                                        WHERE a.attrelid = t.typrelid
                                                          AND a.attnum > 0
                                                          AND NOT a.attisdropped), $1::text)
           WHEN t.typcategory = 'A' THEN format('%L::%s', '{}', $1::text)
           ELSE format('%L::%s', coalesce(v.text, '1'), $1::text)
       END
  FROM pg_catalog.pg_type AS t
  LEFT JOIN (VALUES ('date', '2030-01-01'), ('timestamp', '2030-01-01 00:00:00'), ('time', '08:00'), ('timetz', '08:00+00'),
                    ('cidr', '192.0.2.0/24'), ('macaddr', '08:00:2b:01:02:03'), ('macaddr8', '08:00:2b:01:02:03:04:05'),
                    ('point', '(1,2)'), ('line', '{1,2,3}'), ('lseg', '[(1,2),(3,4)]'), ('box', '(3,4),(1,2)'),
                    ('path', '[(1,2),(3,4)]'), ('polygon', '((1,2),(3,4),(5,0))'), ('circle', '<(1,2),3>'),
                    ('pg_lsn', '0/1'), ('jsonpath', '$'), ('xml', '<a/>'), ('regclass', 'pg_catalog.pg_class'),
                    ('regtype', 'integer'), ('regnamespace', 'pg_catalog')) AS v (name, text)
         ON v.name = coalesce((SELECT b.typname FROM pg_catalog.pg_type AS b WHERE b.oid = nullif(t.typbasetype, 0)), t.typname)
 WHERE t.oid = to_regtype($1::text);
