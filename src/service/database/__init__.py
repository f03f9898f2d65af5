"""One PostgreSQL server: connections, the pool, savepoints, errors translated, retries, diagnosis."""
