"""Checks of the infrastructure that need no account: `run()` of each module names problems."""
