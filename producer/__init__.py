"""Generates card transactions and labels, or replays recorded ones, and writes them to a stream or a file."""
