"""The cache of statements' results, in the process and in Redis; and the watermarks, by which cached results are checked."""
