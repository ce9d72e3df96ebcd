"""Loads the policy from a file or an S3 object, again whenever it changes; a bad new version is refused loudly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import structlog

from adapters.objects.opening import open_objects
from adapters.objects.store import ObjectStore, StoredObject
from adapters.policy.lists import ListStore
from fraud.decision.policy.bundle import ROOT, PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.living import Lists
from fraud.decision.rules.fields import Fields
from fraud.documents import MAX_CHARACTERS, parse_yaml
from fraud.errors import FraudError, MisconfiguredError, ServiceError
from fraud.settings import Aws

MAX_FILES = 200
"""Files of a policy."""

MAX_POLICY_CHARACTERS = 64 << 20
"""All files of a policy together, long lists included; its YAML has its own bound."""

LIVING_LISTS = "living-lists"
"""Where living lists are beside a policy, if the settings do not say otherwise."""

_LONGEST_NAME = 200

log = structlog.get_logger()


class PolicyFiles:
    """The files of a policy: the policy itself, and those that it names, beside it or below.

    Args:
        objects: where they lie.
        root: the key of the policy itself.
        lists: the store of living lists that belongs to it; None where there is none.
    """

    def __init__(self, objects: ObjectStore, root: str, lists: ListStore | None = None) -> None:
        self._objects = objects
        self._root = root
        self.lists = lists

    def read(self, name: str | None) -> str:
        """The text of the policy itself (None) or of a file beside it.

        Raises:
            MisconfiguredError: there is none, or it cannot be read.
        """
        found = self._get(name)
        if found is None:
            raise MisconfiguredError("policy.path", f"{self._place(name)} cannot be read: there is no such file")
        return _text(found, self._place(name))

    def replace(self, name: str | None, before: str | None, text: str) -> bool:
        """Writes a file in place of the text it had (None: where there is none); False if it has another by now.

        Raises:
            MisconfiguredError: it cannot be written.
        """
        key, standing = name or self._root, None if before is None else self._get(name)
        try:
            if before is None:
                return self._objects.put_new(key, text.encode())
            if standing is None or _text(standing, self._place(name)) != before:
                return False
            return self._objects.replace(key, text.encode(), standing.tag)
        except ServiceError as error:
            raise MisconfiguredError("policy.path", f"{self._place(name)} cannot be written: {error}") from None

    def _get(self, name: str | None) -> StoredObject | None:
        try:
            return self._objects.get(name or self._root)
        except ServiceError as error:
            raise MisconfiguredError("policy.path", f"{self._place(name)} cannot be read: {error}") from None

    def _place(self, name: str | None) -> str:
        return f"{self._objects.address.rstrip('/')}/{name or self._root}"


def _text(found: StoredObject, place: str) -> str:
    try:
        return found.data.decode()
    except UnicodeDecodeError as error:
        raise MisconfiguredError("policy.path", f"{place} cannot be read: {error}") from None


def read_bundle(files: PolicyFiles) -> PolicyBundle:
    """Reads a policy with all files that it names, and the living lists.

    Raises:
        MisconfiguredError: a file is missing, the policy is not YAML, or its files are more than people write.
    """
    root = files.read(None)
    texts = {ROOT: root}
    for name in _named_files(root):
        texts[name] = files.read(name)
        if sum(len(text) for text in texts.values()) > MAX_POLICY_CHARACTERS:
            raise MisconfiguredError("policy.path", f"its files have more than {MAX_POLICY_CHARACTERS:,} characters")
    written = sum(len(text) for name, text in texts.items() if not name.endswith(".csv"))
    if written > MAX_CHARACTERS:
        raise MisconfiguredError("policy.path", f"its YAML has {written:,} characters, more than {MAX_CHARACTERS:,}")
    return PolicyBundle(texts) if files.lists is None else PolicyBundle(texts, files.lists.read())


def write_bundle(files: PolicyFiles, before: PolicyBundle, after: PolicyBundle) -> bool:
    """Writes the files in which two policies differ; the policy itself last, so that it never names a missing file.

    Living lists stay as they are: they change by themselves.

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

    @property
    def lists(self) -> ListStore | None:
        """The store of living lists that belongs to it."""
        return self._files.lists

    def read(self) -> PolicyBundle:
        """See `read_bundle`."""
        return read_bundle(self._files)

    def write(self, before: PolicyBundle, after: PolicyBundle) -> bool:
        """See `write_bundle`."""
        return write_bundle(self._files, before, after)


@lru_cache(maxsize=4)  # the job asks every few seconds, of a text that rarely changes
def _named_files(root: str) -> tuple[str, ...]:
    """The files that a policy names; what is no name is left to the compiler, which says so."""
    document = parse_yaml(ROOT, root)
    if not isinstance(document, dict):
        raise MisconfiguredError("policy.path", "must hold thresholds, rules and lists")
    files, lists = (document.get(key) for key in ("rule_files", "lists"))
    named = [*_items(files), *(entry.get("file") for entry in _items(lists) if isinstance(entry, dict))]
    names = sorted({name for name in named if isinstance(name, str)} - {ROOT})
    for name in names:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise MisconfiguredError("policy.path", f"{name} must lie beside the policy or below it")
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise MisconfiguredError("policy.path", f"{name[:80]!r} is no name of a file")
    if len(names) > MAX_FILES:
        raise MisconfiguredError("policy.path", f"names {len(names):,} files, more than {MAX_FILES}")
    return tuple(names)


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


class PolicySource:
    """The policy in force. Call `refresh` between batches; it reads again and keeps the old version on any fault.

    Args:
        files: where it lies.
        compile_bundle: checks a policy and makes it ready.
        last: the policy that was in force when a program of this name ran last, None where none did. It stays in force
            where this one is refused, so that a fault in a file ends no job that runs already, nor its next start.

    Raises:
        MisconfiguredError: the policy cannot be read or is refused, and there was none before.
    """

    def __init__(
        self,
        files: PolicyFiles,
        compile_bundle: Callable[[PolicyBundle], CompiledPolicy],
        last: Callable[[], PolicyBundle | None] = lambda: None,
    ) -> None:
        self._files = files
        self._compile = compile_bundle
        self._problem: str | None = None
        try:
            self._current = self.compile(self._read())
        except MisconfiguredError as error:
            before = self._compiled_before(last)
            if before is None:
                raise
            self._current = before
            self._refused(error)

    @property
    def lists(self) -> ListStore | None:
        """The store of living lists that belongs to it."""
        return self._files.lists

    @property
    def current(self) -> CompiledPolicy:
        """The version in force."""
        return self._current

    def compile(self, bundle: PolicyBundle) -> CompiledPolicy:
        """Makes another version of the policy ready, as the one in force was.

        Raises:
            MisconfiguredError: it is refused.
        """
        with _nothing_else_raised():
            return self._compile(bundle)

    def refresh(self) -> CompiledPolicy:
        """Takes over a new version where there is one; one that is refused is logged once and left."""
        try:
            bundle = self._read()
            changed = bundle.files_version != self._current.bundle.files_version
            compiled = self.compile(bundle) if changed else self._with_lists(bundle.lists)
        except FraudError as error:
            self._refused(error)
            return self._current
        return self._taken(compiled)

    def refresh_lists(self) -> CompiledPolicy:
        """Takes over new living lists alone, which costs one request; those that are refused are logged once and left.

        Where the files were refused, they stay as they are.
        """
        if self._files.lists is None:
            return self._current
        try:
            compiled = self._with_lists(self._files.lists.read())
        except FraudError as error:
            self._refused(error)
            return self._current
        return self._current if compiled is self._current else self._taken(compiled)

    def _with_lists(self, lists: Lists) -> CompiledPolicy:
        if lists.version == self._current.bundle.lists.version:
            return self._current
        with _nothing_else_raised():
            return self._current.with_lists(lists)

    def _taken(self, compiled: CompiledPolicy) -> CompiledPolicy:
        before, self._current = self._current, compiled
        self._problem = None
        if compiled.version != before.version:
            log.info("policy loaded", version=compiled.version, rules=len(compiled.rules))
        return compiled

    def _read(self) -> PolicyBundle:
        with _nothing_else_raised():
            return read_bundle(self._files)

    def _compiled_before(self, last: Callable[[], PolicyBundle | None]) -> CompiledPolicy | None:
        """The policy that was in force last, if it still compiles."""
        try:
            bundle = last()
            return None if bundle is None else self.compile(bundle)
        except FraudError as error:
            log.error("no earlier policy to go on with", problem=str(error))
            return None

    def _refused(self, error: FraudError) -> None:
        if str(error) == self._problem:
            return
        self._problem = str(error)
        log.error("policy refused, the old version stays", problem=self._problem, version=self._current.version)


@contextmanager
def _nothing_else_raised() -> Iterator[None]:
    """Whatever people's files set off is an error of ours: a fault in a check of them must not end a running job."""
    try:
        yield
    except FraudError:
        raise
    except Exception as error:
        raise MisconfiguredError("policy", f"cannot be used: {type(error).__name__}: {error}") from error


def policy_files(path: str, aws: Aws, lists: str | None = None) -> PolicyFiles:
    """The files of the policy at a path or `s3://bucket/key`.

    Args:
        path: of the policy.
        aws: where S3 is.
        lists: folder or `s3://` address of its living lists; None is `LIVING_LISTS` beside the policy.
    """
    folder, slash, root = path.rpartition("/")
    beside = folder or (slash or ".")
    store = ListStore(open_objects(lists or f"{beside.rstrip('/')}/{LIVING_LISTS}", aws))
    return PolicyFiles(open_objects(beside, aws), root, store)


def open_policy(
    files: PolicyFiles, base_currency: str, fields: Fields, last: Callable[[], PolicyBundle | None] = lambda: None
) -> PolicySource:
    """The policy in files, compiled.

    Args:
        files: see `policy_files`.
        base_currency: in which its amounts are.
        fields: the fields that rules may use, see `fraud.decision.rules.fields.fields_of`.
        last: see `PolicySource`.
    """
    return PolicySource(files, lambda bundle: compile_policy(bundle, fields, base_currency), last)
