"""Personal data: its keys, and the file that keeps them."""
