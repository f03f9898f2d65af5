"""The HTTP edge: routes, who asks, answers."""
