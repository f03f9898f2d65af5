"""One module per aggregate: its frozen row models and the repository on its SQL file."""
