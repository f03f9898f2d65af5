SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.reach(integer, bigint, bigint, interval);
