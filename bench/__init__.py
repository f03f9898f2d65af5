"""Measurements side by side: Quarry against bare asyncpg, a hand-written handler, aiosql and SQLAlchemy's ORM."""
