SET LOCAL lock_timeout = '4s';
DROP TABLE app.niches;
