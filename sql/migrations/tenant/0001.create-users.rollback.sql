SET LOCAL lock_timeout = '4s';
DROP TABLE users;
DROP FUNCTION keep_an_owner();
DROP FUNCTION record_users();
