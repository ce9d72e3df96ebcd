"""Credentials for a local AWS emulator, which takes any; written once for boto3, Arrow and Delta Lake."""

from __future__ import annotations

from fraud.settings import Aws


def emulator_credentials(settings: Aws, service: str) -> tuple[str, str] | tuple[None, None]:
    """Access key and secret key for a service that has an endpoint address; none on AWS itself.

    There the default chain of each library applies (Pod Identity, profile, environment).
    """
    return (None, None) if settings.endpoint_of(service) is None else ("local", "local")
