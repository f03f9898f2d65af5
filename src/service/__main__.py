"""`python -m service` is the `quarry` command."""

from service.cli.main import main

main()
