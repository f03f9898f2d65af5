"""The HTTP layer: how a request becomes an answer (its HTTP response). The operations of the API are in `service.api`."""
