"""Personal data: its encryption, the keys for this, the file in which the keys may be kept, and the type `Personal`."""
