-- Keys that name something are compared byte by byte, so that no operating system's update can make one of them twice.
-- depends: 0015.seal-hashes

SET LOCAL lock_timeout = '4s';

-- The index of each is built anew while its table is locked.
ALTER TABLE brands ALTER COLUMN username TYPE text COLLATE "C";
ALTER TABLE influencers ALTER COLUMN username TYPE text COLLATE "C";
ALTER TABLE idempotency_keys ALTER COLUMN key TYPE text COLLATE "C";
