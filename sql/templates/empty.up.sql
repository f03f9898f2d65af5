-- $sentence
-- depends: $depends

SET LOCAL lock_timeout = '4s';

