"""Authentication and authorization: passwords, tokens, roles, one-time codes, signing in."""
