"""Lets `python -m service` run the same program as the command `quarry`."""

from service.cli.main import main

main()
