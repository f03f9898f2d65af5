"""The API: one module per kind of resource, the table of routes, and the application."""
