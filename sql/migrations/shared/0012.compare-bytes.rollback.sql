SET LOCAL lock_timeout = '4s';
ALTER TABLE app.cursors ALTER COLUMN consumer TYPE text COLLATE "default";
ALTER TABLE app.schemas ALTER COLUMN name TYPE text COLLATE "default";
ALTER TABLE app.tenants ALTER COLUMN domain TYPE text COLLATE "default";
