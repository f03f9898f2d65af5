"""Shows reviewers the facts that the checks prove about the statements, in a terminal and as an HTML page."""
