"""Behavioural features: one catalogue, one kernel, the same value online and offline."""

from fraud.features.catalogue import (
    CATALOGUE,
    EXACT_FIELDS,
    FEATURE_FIELDS,
    FEATURE_NAMES,
    SHIPPED,
    Catalogue,
    DeclarationError,
    catalogue_of,
    catalogue_with,
    definition_hash,
    features_named,
)

__all__ = [
    "CATALOGUE",
    "EXACT_FIELDS",
    "FEATURE_FIELDS",
    "FEATURE_NAMES",
    "SHIPPED",
    "Catalogue",
    "DeclarationError",
    "catalogue_of",
    "catalogue_with",
    "definition_hash",
    "features_named",
]
