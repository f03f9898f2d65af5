"""The HTTP layer, which all operations share: parsing, authentication, limits, answers (HTTP responses), documentation."""
