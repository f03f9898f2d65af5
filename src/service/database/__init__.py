"""Access to one PostgreSQL server: connections, the pool, savepoints, translation of errors, retries, diagnosis."""
