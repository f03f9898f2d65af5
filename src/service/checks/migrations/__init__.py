"""What is proved of migrations: the way back, locks, rewrites, guards."""
