"""Where the policy comes from."""
