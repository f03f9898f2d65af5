-- What the functions do that are not the server's own: language, body, settings, and the functions that an aggregate is made of.
SELECT f.oid::int8 AS oid,
       l.lanname::text AS language,
       coalesce(pg_get_function_sqlbody(f.oid), f.prosrc) AS body,
       coalesce(f.proconfig, '{}') AS config,
       f.proargdefaults::text AS defaults,
       array_remove(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
                          a.aggminvtransfn, a.aggmfinalfn]::oid[], 0::oid)::int8[] AS parts
  FROM pg_catalog.pg_proc AS f
  JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace
  JOIN pg_catalog.pg_language AS l ON l.oid = f.prolang
  LEFT JOIN pg_catalog.pg_aggregate AS a ON a.aggfnoid = f.oid
 WHERE f.oid >= 16384;
