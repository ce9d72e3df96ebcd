"""Clients of AWS, files and HTTP behind small ports."""
