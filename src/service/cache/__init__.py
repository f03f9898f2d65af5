"""The cache of statements' results (in the process and in Redis), and the watermarks that tell whether they are up to date."""
