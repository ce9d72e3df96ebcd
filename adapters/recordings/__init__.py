"""Recordings: other people's files of transactions, read by what they hold and converted by a declared mapping."""
