"""Access keys of the API of Amazon Fraud Detector: pairs of an id and a secret, as clients of AWS sign with them.

A signature can only be checked by who has the secret, so it is kept encrypted, other than API keys, of which a hash is.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from adapters.program.secret_box import SecretBox
from decision_service.access import Allowance, check_name, keys_in, write_keys
from fraud.errors import MisconfiguredError
from fraud.records.schema import whole
from fraud.settings import FraudDetector

Right = Literal["predict", "events", "lists", "describe"]
RIGHTS: tuple[Right, ...] = ("predict", "events", "lists", "describe")
_ID = "FDAK"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


class AccessKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key as the file has it.

    Attributes:
        id: what a client names it by.
        name: whose it is; several keys may have one name, so that a key can be replaced.
        secret: encrypted.
        rights: what it is good for.
    """

    id: Annotated[str, msgspec.Meta(pattern=whole("[A-Z0-9]{20}"))]
    name: str
    secret: str
    rights: frozenset[Right]


_decode_keys = msgspec.json.Decoder(list[AccessKey]).decode


def quotas_of(settings: FraudDetector) -> dict[Right, int]:
    """Most calls a second with one key, by what the calls need."""
    return {
        "predict": settings.predict_per_second,
        "events": settings.events_per_second,
        "lists": settings.lists_per_second,
        "describe": settings.describe_per_second,
    }


class Holder:
    """A key in use: its secret, and what it may still ask for in this second, by kind of call."""

    def __init__(self, key: AccessKey, secret: bytes, quotas: Mapping[Right, int], now_s: float) -> None:
        self.key = key
        self.secret = secret
        self.allowances = {right: Allowance(limit, now_s) for right, limit in quotas.items()}


class AccessKeys:
    """The keys of a file, read again when it changes.

    Args:
        file: JSON, a list of `AccessKey`.
        box: opens their secrets.
        quotas: most calls a second with one key, by what the calls need.
        clock: seconds that never go back.

    Raises:
        MisconfiguredError: the file holds no keys, cannot be read, or a secret was closed with another key.
    """

    def __init__(self, file: Path, box: SecretBox, quotas: Mapping[Right, int], clock: Callable[[], float]) -> None:
        self._file = file
        self._box = box
        self._quotas = quotas
        self._clock = clock
        self._holders: dict[str, Holder] = {}
        self.reload()

    def reload(self) -> None:
        """Reads the file again; raises MisconfiguredError and keeps the old keys where it cannot be used."""
        keys = read_access_keys(self._file)
        if not keys:
            way = "has no key; make one: fraud decide --add-access-key NAME"
            raise MisconfiguredError(f"frauddetector.access_keys {self._file}", way)
        now_s = self._clock()
        found: dict[str, Holder] = {}
        for key in keys:
            known = self._holders.get(key.id)
            same = known is not None and known.key == key
            found[key.id] = (
                known if same and known else Holder(key, self._box.open(key.id, key.secret), self._quotas, now_s)
            )
        self._holders = found

    def holder(self, access_key: str) -> Holder | None:
        """The key of an id."""
        return self._holders.get(access_key)


def read_access_keys(file: Path) -> list[AccessKey]:
    """The keys of a file; see `keys_in`."""
    return keys_in(file, "frauddetector.access_keys", _decode_keys)


def add_access_key(file: Path, box: SecretBox, name: str, rights: frozenset[Right]) -> tuple[str, str]:
    """Adds a new pair to the file; gives its id and its secret, which nothing else ever shows.

    Raises:
        MisconfiguredError: the name is none, or the file cannot be read.
    """
    check_name("--add-access-key", name)
    identity = _ID + "".join(secrets.choice(_LETTERS) for _ in range(16))
    secret = secrets.token_urlsafe(30)
    key = AccessKey(identity, name, box.close(identity, secret.encode()), rights)
    write_keys(file, [*read_access_keys(file), key])
    return identity, secret


def remove_oldest_access_key(file: Path, name: str) -> int:
    """Removes the oldest pair of a name; how many the name has left.

    Raises:
        MisconfiguredError: none has the name.
    """
    keys = read_access_keys(file)
    oldest = next((place for place, key in enumerate(keys) if key.name == name), None)
    if oldest is None:
        raise MisconfiguredError(f"--remove-access-key {name}", f"{file} has no such key")
    del keys[oldest]
    write_keys(file, keys)
    return sum(key.name == name for key in keys)
