"""Answers kept in Redis, and what says when they are out of date."""
