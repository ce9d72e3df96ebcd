"""Clients of AWS services and what the system creates there."""
