"""Checks that run the statements on sample rows: with keys of another tenant, with nulls, and with ten times the rows."""
