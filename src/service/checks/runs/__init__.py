"""Checks that run the statements on sample rows: with ordinary values and nulls, with keys of another tenant, with many rows."""
