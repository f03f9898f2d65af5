"""The rules that every statement has to keep: row counts, signature, caching, indexes, privileges."""
