SET LOCAL lock_timeout = '4s';
DROP TRIGGER refuse_in_maintenance ON otps;
DROP FUNCTION applied_migrations();
