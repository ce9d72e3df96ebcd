"""Images, and the scripts that their builds run."""
