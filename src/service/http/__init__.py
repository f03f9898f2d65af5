"""How a request becomes an answer; what the API is about is in `service.api`."""
