"""Shows reviewers what is proved of the statements, in a terminal and as an HTML page."""
