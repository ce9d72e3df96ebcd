"""Stores of objects: one port, in a folder or on S3."""
