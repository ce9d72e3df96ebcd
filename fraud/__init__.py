"""The domain: records, settings, features, rules, policy and decision. Pure: no I/O, no clock, no Spark."""
