"""Loads the policy from a file or an S3 object, again whenever it changes; a bad new version is refused loudly."""

from __future__ import annotations

import fcntl
import posixpath
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
import yaml
from botocore.exceptions import BotoCoreError, ClientError

from adapters.aws import LOST_RACE, aws_client
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

    def replace(self, name: str | None, before: str | None, text: str) -> bool:
        """Writes a file in place of the text it had (None: where there is none); False if it has another by now."""


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

    def replace(self, name: str | None, before: str | None, text: str) -> bool:
        """See `PolicyFiles`."""
        file = self._path if name is None else self._path.parent / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_name(".policy.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if (file.read_text(encoding="utf-8") if file.exists() else None) != before:
                    return False
                half = file.with_name(f".{file.name}.new")
                half.write_text(text, encoding="utf-8")
                half.replace(file)
        except OSError as error:
            raise MisconfiguredError("policy.path", f"{file} cannot be written: {error.strerror}") from None
        return True


class S3Files:
    """A policy in S3."""

    def __init__(self, url: str, client: Any) -> None:
        parts = urlsplit(url)
        self._bucket, self._key, self._client = parts.netloc, parts.path.lstrip("/"), client

    def read(self, name: str | None) -> str:
        """See `PolicyFiles`."""
        return self._get(self._key_of(name))[0]

    def replace(self, name: str | None, before: str | None, text: str) -> bool:
        """See `PolicyFiles`."""
        key, condition = self._key_of(name), {"IfNoneMatch": "*"}
        if before is not None:
            standing, tag = self._get(key)
            if standing != before:
                return False
            condition = {"IfMatch": tag}
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=text.encode(), **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in LOST_RACE:
                return False
            raise MisconfiguredError("policy.path", f"s3://{self._bucket}/{key} cannot be written: {error}") from None
        return True

    def _key_of(self, name: str | None) -> str:
        return self._key if name is None else posixpath.join(posixpath.dirname(self._key), name)

    def _get(self, key: str) -> tuple[str, str]:
        try:
            found: Any = self._client.get_object(Bucket=self._bucket, Key=key)
            return found["Body"].read().decode(), found["ETag"]
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


def write_bundle(files: PolicyFiles, before: PolicyBundle, after: PolicyBundle) -> bool:
    """Writes the files in which two policies differ; the policy itself last, so that it never names a missing file.

    Returns:
        False where somebody else changed one of them meanwhile; files written by then stay, in force only if the
        policy names them.
    """
    changed = [name for name, text in after.files.items() if before.files.get(name) != text]
    for name in sorted(changed, key=lambda name: name == ROOT):
        if not files.replace(None if name == ROOT else name, before.files.get(name), after.files[name]):
            return False
    return True


class PolicyStore:
    """A policy to read and to change.

    Args:
        files: where it lies.
    """

    def __init__(self, files: PolicyFiles) -> None:
        self._files = files

    def read(self) -> PolicyBundle:
        """See `read_bundle`."""
        return read_bundle(self._files)

    def write(self, before: PolicyBundle, after: PolicyBundle) -> bool:
        """See `write_bundle`."""
        return write_bundle(self._files, before, after)


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
