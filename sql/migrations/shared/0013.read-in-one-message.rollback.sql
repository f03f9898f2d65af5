SET LOCAL lock_timeout = '4s';
DROP FUNCTION app.rfc3339(date);
DROP FUNCTION app.rfc3339(timestamptz);
DROP FUNCTION app.entered(uuid);
