"""Backtests of rules: what a policy would have decided over the archive, through the live decision code."""
