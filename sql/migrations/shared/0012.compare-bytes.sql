-- Keys that name something are compared byte by byte, so that no operating system's update can make one of them twice.
-- depends: 0011.tell-of-the-purge

SET LOCAL lock_timeout = '4s';

-- The index of each is built anew while its table is locked.
ALTER TABLE app.tenants ALTER COLUMN domain TYPE text COLLATE "C";
ALTER TABLE app.schemas ALTER COLUMN name TYPE text COLLATE "C";
ALTER TABLE app.cursors ALTER COLUMN consumer TYPE text COLLATE "C";
