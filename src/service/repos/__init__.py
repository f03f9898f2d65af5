"""Repositories. Each module has the row models (immutable) of one aggregate, and the class that runs its SQL statements."""
