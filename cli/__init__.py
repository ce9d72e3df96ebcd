"""The `fraud` command: one module a subcommand, each a composition root."""
