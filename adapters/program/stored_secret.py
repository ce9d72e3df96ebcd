"""Reads secrets from where the settings say that they are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from adapters.aws.clients import aws_client
from fraud.errors import MisconfiguredError, ServiceError
from fraud.settings import Aws


def stored_secret(
    setting: str, place: str, environment: Mapping[str, str] = os.environ, aws: Aws | None = None
) -> bytes:
    """A secret, without white space around it.

    Args:
        setting: its name, for messages.
        place: `file:PATH` or `env:NAME`, or `secretsmanager:NAME` of a secret in AWS Secrets Manager.
        environment: variables of the process.
        aws: where Secrets Manager is; None where no secret may be there.

    Raises:
        MisconfiguredError: it is missing or cannot be read; nothing of it is repeated.
    """
    kind, _, name = place.partition(":")
    if kind == "env":
        if name not in environment:
            raise MisconfiguredError(setting, f"the environment has no variable {name}")
        return environment[name].encode("utf-8", "surrogateescape").strip()
    if kind == "secretsmanager" and aws is not None:
        try:
            answer = aws_client("secretsmanager", aws).get_secret_value(SecretId=name)
        except ServiceError as error:
            raise MisconfiguredError(setting, f"cannot read the secret {name}: {error}") from None
        return (answer["SecretString"].encode() if "SecretString" in answer else bytes(answer["SecretBinary"])).strip()
    try:
        return Path(name).read_bytes().strip()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or str(error)
        raise MisconfiguredError(setting, f"cannot read {name}: {problem}") from None
