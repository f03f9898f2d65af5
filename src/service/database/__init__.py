"""Access to PostgreSQL: connections, their pool, savepoints, translation of errors, retries, diagnosis of failed connections."""
