SET LOCAL lock_timeout = '4s';
DROP TABLE $table;
DROP FUNCTION record_$table();
