"""What users can do: each function checks the role, then does it."""
