"""Keeps secrets that a program must be able to read: encrypted with a key of a file or Secrets Manager, or by KMS."""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.aws.clients import aws_client
from adapters.program.stored_secret import stored_secret
from fraud.errors import MisconfiguredError, ServiceError
from fraud.settings import Aws

MIN_KEY_BYTES = 32
_NONCE_BYTES = 12
_WAY_OUT = "make one with: openssl rand -hex 32"


class SecretBox(Protocol):
    """Encrypts and decrypts short secrets."""

    def close(self, name: str, secret: bytes) -> str:
        """The secret, encrypted, as text. It can be opened under the same name only."""

    def open(self, name: str, closed: str) -> bytes:
        """The inverse; MisconfiguredError where it was closed with another key or under another name."""


def open_secret_box(
    setting: str, place: str, aws: Aws, environment: Mapping[str, str] = os.environ, create: bool = False
) -> SecretBox:
    """The box that a setting names.

    Args:
        setting: its name, for messages.
        place: `file:PATH`, `env:NAME` or `secretsmanager:NAME` of a key of at least 32 random bytes, or `kms:KEY`, an
            id, ARN or alias.
        aws: where KMS and Secrets Manager are.
        environment: variables of the process.
        create: whether a key file that is missing is made.

    Raises:
        MisconfiguredError: there is no such key, or it is too short; nothing of it is repeated.
    """
    kind, _, name = place.partition(":")
    if kind == "kms":
        return _KmsBox(setting, name, aws)
    if kind == "file" and create:
        _create(Path(name))
    key = stored_secret(setting, place, environment, aws)
    if len(key) < MIN_KEY_BYTES:
        raise MisconfiguredError(setting, f"is {len(key)} bytes long, needed are {MIN_KEY_BYTES}; {_WAY_OUT}")
    return _KeyBox(setting, key)


def _create(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    with os.fdopen(opened, "w") as written:
        written.write(secrets.token_hex(MIN_KEY_BYTES) + "\n")


class _KeyBox:
    """AES-256-GCM with a random nonce; the name is authenticated with the secret."""

    def __init__(self, setting: str, key: bytes) -> None:
        self._setting = setting
        self._cipher = AESGCM(hashlib.blake2b(key, digest_size=32, person=b"secret box 1").digest())

    def close(self, name: str, secret: bytes) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret, name.encode())).decode()

    def open(self, name: str, closed: str) -> bytes:
        try:
            data = base64.b64decode(closed, validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise MisconfiguredError(self._setting, f"does not open the secret of {name}: it is another key") from None


class _KmsBox:
    """AWS KMS itself encrypts and decrypts; the name is the encryption context."""

    def __init__(self, setting: str, key: str, aws: Aws) -> None:
        self._setting = setting
        self._key = key
        self._client = aws_client("kms", aws)

    def close(self, name: str, secret: bytes) -> str:
        try:
            answer = self._client.encrypt(KeyId=self._key, Plaintext=secret, EncryptionContext={"name": name})
        except ServiceError as error:
            raise MisconfiguredError(self._setting, str(error)) from None
        return base64.b64encode(answer["CiphertextBlob"]).decode()

    def open(self, name: str, closed: str) -> bytes:
        try:
            blob = base64.b64decode(closed, validate=True)
            answer = self._client.decrypt(KeyId=self._key, CiphertextBlob=blob, EncryptionContext={"name": name})
        except (ServiceError, ValueError) as error:
            raise MisconfiguredError(self._setting, f"does not open the secret of {name}: {error}") from None
        return bytes(answer["Plaintext"])
