"""What every statement is held to: row counts, signature, indexes, privileges."""
