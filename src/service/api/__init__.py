"""The API: one module with handlers for each kind of resource, the list of routes (routes.py), and the application (app.py)."""
