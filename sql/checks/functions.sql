-- Every function with what its answers depend on: whether it is strict, keeps rows from leaking, runs with its owner's rights.
SELECT f.oid::int8 AS oid,
       n.nspname::text AS schema,
       f.proname::text AS name,
       f.prokind::text AS kind,
       f.proisstrict AS is_strict,
       f.proleakproof AS is_leakproof,
       f.prosecdef AS is_definer,
       f.provolatile = 'i' AS is_immutable,
       f.provolatile = 'v' AS is_volatile,
       f.proretset AS is_set,
       pg_get_function_identity_arguments(f.oid) AS arguments,
       format_type(f.prorettype, NULL) AS returns
  FROM pg_catalog.pg_proc AS f
  JOIN pg_catalog.pg_namespace AS n ON n.oid = f.pronamespace;
