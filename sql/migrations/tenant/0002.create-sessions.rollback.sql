SET LOCAL lock_timeout = '4s';
DROP TABLE sign_in_failures;
DROP TABLE api_keys;
DROP FUNCTION record_api_keys();
DROP TABLE sessions;
DROP FUNCTION record_sessions();
