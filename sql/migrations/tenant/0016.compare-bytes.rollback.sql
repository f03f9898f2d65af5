SET LOCAL lock_timeout = '4s';
ALTER TABLE idempotency_keys ALTER COLUMN key TYPE text COLLATE "default";
ALTER TABLE influencers ALTER COLUMN username TYPE text COLLATE "default";
ALTER TABLE brands ALTER COLUMN username TYPE text COLLATE "default";
