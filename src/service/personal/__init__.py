"""Personal data: the keys that encrypt it, and the file that stores them."""
