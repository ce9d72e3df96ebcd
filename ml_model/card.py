"""The model card: what a model is for, what it was made from, and what it must not be trusted with."""

from __future__ import annotations

from collections.abc import Mapping

from ml_model.description import Description

PURPOSE = (
    "Ranks card transactions by the probability of fraud, for review and for recommending a block of the card. It "
    "monitors beside the authorisation; it is not made to decide on credit or on a person."
)
LIMITS = (
    "Figures hold for cases like those they were measured on: kinds of fraud that are not in the training data are "
    "found only where they change the same features. Unreported fraud counts as good. Scores drift as customers and "
    "fraud do: watch `fraud drift`, and replace the model through `fraud models retrain` or `challenge`."
)


def card_entries(description: Description) -> dict[str, str]:
    """The card by its headings, without the list of features."""
    calibration = description.calibration
    shown = {
        "Purpose": PURPOSE,
        "Model": (
            f"Version {description.version}: gradient-boosted trees on {len(description.features)} features of the "
            f"transaction and of the history of card and merchant (definitions {description.definition_hash}), scaled "
            f"to probabilities (Platt: slope {calibration.slope:.3f}, intercept {calibration.intercept:.3f}; at a "
            f"card's first transaction {calibration.slope + calibration.new_slope:.3f} and "
            f"{calibration.intercept + calibration.new_intercept:.3f})."
        ),
        "Training": (
            f"{description.rows:,} transactions, {description.frauds:,} known as fraud, "
            f"{description.trained_from[:10]} to {description.trained_until[:10]}.\nFeatures as they were at each "
            f"transaction, labels as known at the end of the data."
            + (f" SHA-256 of the data: `{description.data_sha256}`." if description.data_sha256 else "")
        ),
        "Choices": _listed(description.choices),
        "Held out in training": (
            f"{_listed(description.metrics)}. This stretch, until {description.seen_until[:10]}, stopped the training "
            "early and calibrated: `fraud evaluate` measures on what came later."
        ),
        "Limits": LIMITS,
        "Made with": ", ".join(f"{name} {version}" for name, version in description.libraries.items()),
    }
    return {heading: text for heading, text in shown.items() if text}


def render_card(description: Description) -> str:
    """The card as Markdown, with all features."""
    parts = [f"## {heading}\n{text}\n" for heading, text in card_entries(description).items()]
    features = ", ".join(f"`{name}`" for name in description.features)
    return "\n".join([f"# Model card: {description.version}\n", *parts, f"## Features\n{features}\n"])


def _listed(numbers: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:.4g}" for name, number in numbers.items())
