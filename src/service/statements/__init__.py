"""A statement's way from SQL text to a call: files, variants, binding, rows, cached answers."""
