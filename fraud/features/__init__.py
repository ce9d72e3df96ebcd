"""Behavioural features: one catalogue, one kernel, the same value online and offline."""

from fraud.features.catalogue import CATALOGUE, FEATURE_FIELDS, FEATURE_NAMES, definition_hash

__all__ = ["CATALOGUE", "FEATURE_FIELDS", "FEATURE_NAMES", "definition_hash"]
