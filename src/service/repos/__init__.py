"""Repositories: one module per aggregate, with its immutable row models and the class that runs its SQL statements."""
