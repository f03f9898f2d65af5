"""Makes SQL statements callable as methods: reads query files, compiles variants, binds them to signatures, reads rows."""
