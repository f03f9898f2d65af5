"""Statements run on sample rows: as another tenant, with nulls, with ten times the rows."""
