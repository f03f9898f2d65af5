SET LOCAL lock_timeout = '4s';
DROP TABLE idempotency_keys;
