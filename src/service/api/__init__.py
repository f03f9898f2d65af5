"""What the API does: one module per noun, the routes, the application."""
