"""The policy: rules, lists and thresholds compiled into one thing that evaluates batches."""
