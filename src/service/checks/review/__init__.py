"""What is proved, shown to reviewers: in a terminal and as a page."""
