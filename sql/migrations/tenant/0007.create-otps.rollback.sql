SET LOCAL lock_timeout = '4s';
DROP TABLE otps;
