"""The model: registry, endpoint, and what happens when it does not answer."""
