"""The command `quarry`: one module per group of subcommands, such as `quarry db`."""
