"""Who may get in: passwords, tokens, roles, one-time codes, signing in."""
