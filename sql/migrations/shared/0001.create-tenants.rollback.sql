SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.find_tenant(text);
DROP TABLE app.tenants;
DROP FUNCTION app.merge_patch(jsonb, jsonb);
DROP FUNCTION app.fold_name();
DROP FUNCTION app.touch_shared();
DROP FUNCTION app.touch();
DROP FUNCTION app.current_tenant();
