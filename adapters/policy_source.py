"""Loads the policy from a file or an S3 object, again whenever it changes; a bad new version is refused loudly."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import aws_client
from fraud.errors import FraudError, MisconfiguredError
from fraud.policy.bundle import ROOT, PolicyBundle
from fraud.policy.compiled import CompiledPolicy
from fraud.policy.compiler import compile_policy
from fraud.rules.fields import Fields
from fraud.settings import Aws, Settings


class PolicyFiles(Protocol):
    """Where a policy's files lie."""

    def read(self, name: str | None) -> str:
        """The text of the policy itself (None) or of a file beside it; MisconfiguredError where there is none."""


class LocalFiles:
    """A policy on disk."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def read(self, name: str | None) -> str:
        """See `PolicyFiles`."""
        file = self._path if name is None else self._path.parent / name
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise MisconfiguredError("policy.path", f"{file} cannot be read: {error}") from None


class S3Files:
    """A policy in S3."""

    def __init__(self, url: str, client: Any) -> None:
        parts = urlsplit(url)
        self._bucket, self._key, self._client = parts.netloc, parts.path.lstrip("/"), client

    def read(self, name: str | None) -> str:
        """See `PolicyFiles`."""
        key = self._key if name is None else posixpath.join(posixpath.dirname(self._key), name)
        try:
            body: bytes = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            return body.decode()
        except (BotoCoreError, ClientError, UnicodeDecodeError) as error:
            raise MisconfiguredError("policy.path", f"s3://{self._bucket}/{key} cannot be read: {error}") from None


def read_bundle(files: PolicyFiles) -> PolicyBundle:
    """Reads a policy with all files that it names.

    Raises:
        MisconfiguredError: a file is missing, or the policy is not YAML.
    """
    root = files.read(None)
    try:
        document = yaml.safe_load(root)
    except yaml.YAMLError as error:
        raise MisconfiguredError("policy.path", f"not YAML: {' '.join(str(error).split())}") from None
    named = _named_files(document)
    for name in named:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise MisconfiguredError("policy.path", f"{name} must lie beside the policy or below it")
    return PolicyBundle({ROOT: root} | {name: files.read(name) for name in named})


def _named_files(document: Any) -> list[str]:
    if not isinstance(document, dict):
        raise MisconfiguredError("policy.path", "must hold thresholds, rules and lists")
    lists = [entry.get("file") for entry in document.get("lists") or [] if isinstance(entry, dict)]
    return sorted({name for name in [*(document.get("rule_files") or []), *lists] if isinstance(name, str)})


class PolicySource:
    """The policy in force. Call `refresh` between batches; it reads again and keeps the old version on any fault."""

    def __init__(self, files: PolicyFiles, compile_bundle: Callable[[PolicyBundle], CompiledPolicy]) -> None:
        """Loads the first version.

        Raises:
            MisconfiguredError: it cannot be read or is refused.
        """
        self._files = files
        self._compile = compile_bundle
        self._problem: str | None = None
        self._current = compile_bundle(read_bundle(files))

    @property
    def current(self) -> CompiledPolicy:
        """The version in force."""
        return self._current

    def refresh(self) -> CompiledPolicy:
        """Takes over a new version where there is one; one that is refused is logged once and left."""
        log = structlog.get_logger()
        try:
            bundle = read_bundle(self._files)
            changed = bundle.version != self._current.version
            compiled = self._compile(bundle) if changed else self._current
        except FraudError as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.error("policy refused, the old version stays", problem=self._problem, version=self._current.version)
            return self._current
        self._problem = None
        self._current = compiled
        if changed:
            log.info("policy loaded", version=compiled.version, rules=len(compiled.rules))
        return compiled


def policy_files(path: str, aws: Aws) -> PolicyFiles:
    """The files of the policy at a path or `s3://bucket/key`."""
    return S3Files(path, aws_client("s3", aws)) if path.startswith("s3://") else LocalFiles(path)


def open_policy(settings: Settings, fields: Fields) -> PolicySource:
    """The policy that the settings name.

    Args:
        settings: `policy.path`, a file or `s3://bucket/key`, and the base currency.
        fields: the fields that rules may use, see `fraud.rules.fields.fields_of`.
    """
    files = policy_files(settings.policy.path, settings.aws)
    return PolicySource(files, lambda bundle: compile_policy(bundle, fields, settings.money.base_currency))
