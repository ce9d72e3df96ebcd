"""Keyed state: exact windows at columnar speed, with the truth in Spark's checkpoint."""
