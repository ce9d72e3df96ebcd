"""The rule time machine: what a policy would have decided over the archive, through the live decision code."""
