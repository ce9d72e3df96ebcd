"""The one place that makes boto3 clients."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

from fraud.settings import Aws


def aws_client(service: str, settings: Aws, *, max_connections: int = 32, max_attempts: int = 5, **config: Any) -> Any:
    """A boto3 client for the configured region and endpoint.

    A local stand-in takes any credentials, so constant ones are given where an endpoint address is set; on AWS the
    default chain applies (Pod Identity, profile, environment).
    """
    local = settings.endpoint_url is not None
    credentials = {"aws_access_key_id": "local", "aws_secret_access_key": "local"} if local else {}
    return boto3.client(  # type: ignore[call-overload]
        service,
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        config=Config(
            max_pool_connections=max_connections,
            retries={"mode": "standard", "total_max_attempts": max_attempts},
            connect_timeout=config.pop("connect_timeout", 5),
            read_timeout=config.pop("read_timeout", 30),
            **config,
        ),
        **credentials,
    )
