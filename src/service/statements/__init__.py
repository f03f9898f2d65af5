"""How a statement gets from SQL text to a method call: query files, variants, binding, rows, cached results."""
