"""Fraud campaigns: each a class of its own; YAML composes them."""

from __future__ import annotations

from producer.campaigns.base import Campaign
from producer.campaigns.physical import BustOut, Counterfeit, StolenCard
from producer.campaigns.remote import (
    AccountTakeover,
    BreachedMerchant,
    CardTesting,
    Drift,
    MuleRing,
    SlowDrain,
)

CAMPAIGNS: tuple[Campaign, ...] = (
    CardTesting(),
    StolenCard(),
    BreachedMerchant(),
    AccountTakeover(),
    Counterfeit(),
    BustOut(),
    MuleRing(),
    SlowDrain(),
    Drift(),
)
"""Every kind; its number in `Rows.campaign` is its place here plus one."""
