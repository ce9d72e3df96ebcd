"""From features to a decision with its reasons: rules, policy, model score."""
