"""Changes as they are committed: followed in the log, streamed to clients, handed to consumers."""
