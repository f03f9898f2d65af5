"""What is proved of every statement and migration, by `quarry sql check` and the tests."""
