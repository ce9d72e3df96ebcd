"""Access keys: their secrets are kept encrypted, by a key in a file, in the environment, or by KMS."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner

from adapters.program.secret_box import SecretBox, open_secret_box
from cli.main import build_app
from decision_service.afd.access_keys import (
    RIGHTS,
    AccessKeys,
    Right,
    add_access_key,
    quotas_of,
    remove_oldest_access_key,
)
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, FraudDetector

QUOTAS: dict[Right, int] = quotas_of(FraudDetector())


def box(place: str, create: bool = False, **environment: str) -> SecretBox:
    return open_secret_box("frauddetector.secrets", place, Aws(), environment, create)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def test_a_secret_is_readable_with_its_key_alone(keys: Path, tmp_path: Path) -> None:
    opened = box(f"file:{tmp_path / 'secret'}", create=True)
    identity, secret = add_access_key(keys, opened, "checkout", frozenset(RIGHTS))

    assert secret not in keys.read_text()
    assert stat.S_IMODE(keys.stat().st_mode) == stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    holder = AccessKeys(keys, opened, QUOTAS, lambda: 0.0).holder(identity)
    assert holder is not None
    assert holder.secret.decode() == secret
    with pytest.raises(MisconfiguredError, match="it is another key"):
        AccessKeys(keys, box("env:OTHER", OTHER="o" * 32), QUOTAS, lambda: 0.0)


def test_a_secret_cannot_be_given_to_another_id(keys: Path) -> None:
    opened = box("env:KEY", KEY="k" * 32)
    first, _ = add_access_key(keys, opened, "one", frozenset(RIGHTS))
    second, _ = add_access_key(keys, opened, "two", frozenset(RIGHTS))
    entries = json.loads(keys.read_text())
    entries[1]["secret"] = entries[0]["secret"]
    keys.write_text(json.dumps(entries))

    with pytest.raises(MisconfiguredError, match=second):
        AccessKeys(keys, opened, QUOTAS, lambda: 0.0)
    assert first != second


def test_keys_are_replaced_without_a_restart(keys: Path) -> None:
    opened = box("env:KEY", KEY="k" * 32)
    old, _ = add_access_key(keys, opened, "checkout", frozenset(RIGHTS))
    access = AccessKeys(keys, opened, QUOTAS, lambda: 0.0)
    kept = access.holder(old)
    new, _ = add_access_key(keys, opened, "checkout", frozenset({"predict"}))
    access.reload()
    assert (access.holder(old) is kept, access.holder(new) is not None) == (True, True)

    assert remove_oldest_access_key(keys, "checkout") == 1
    access.reload()
    assert (access.holder(old), access.holder(new) is not None) == (None, True)
    with pytest.raises(MisconfiguredError, match="has no such key"):
        remove_oldest_access_key(keys, "else")


def test_what_cannot_be_used_is_refused_at_the_start(keys: Path, tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match="has no key; make one: fraud decide --add-access-key NAME"):
        AccessKeys(keys, box("env:KEY", KEY="k" * 32), QUOTAS, lambda: 0.0)
    with pytest.raises(MisconfiguredError, match="is 5 bytes long, needed are 32"):
        box("env:KEY", KEY="short")
    with pytest.raises(MisconfiguredError, match="no variable KEY"):
        box("env:KEY")
    with pytest.raises(MisconfiguredError, match="cannot read"):
        box(f"file:{tmp_path / 'absent'}")
    with pytest.raises(MisconfiguredError, match="a name is 1 to 64"):
        add_access_key(keys, box("env:KEY", KEY="k" * 32), "A b", frozenset(RIGHTS))


def test_kms_keeps_secrets_as_well(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with mock_aws():
        session = boto3.Session(region_name=Aws().region)
        kms = session.client("kms")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        opened = box(f"kms:{key}")
        identity, secret = add_access_key(keys, opened, "checkout", frozenset(RIGHTS))
        holder = AccessKeys(keys, opened, QUOTAS, lambda: 0.0).holder(identity)
        assert holder is not None
        assert holder.secret.decode() == secret
        with pytest.raises(MisconfiguredError, match="does not open the secret of else"):
            opened.open("else", json.loads(keys.read_text())[0]["secret"])


def test_keys_are_added_and_removed_on_the_command_line(tmp_path: Path) -> None:
    settings = {
        "frauddetector.access_keys": tmp_path / "keys.json",
        "frauddetector.secrets": f"file:{tmp_path / 'secret'}",
        "log.level": "error",
    }
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]

    def fraud(*arguments: str) -> str:
        result = CliRunner().invoke(build_app(), ["decide", *arguments, *given])
        if isinstance(result.exception, MisconfiguredError):
            raise result.exception
        assert result.exit_code == 0, result.output
        return result.output

    said = fraud("--add-access-key", "checkout", "--rights", "predict, lists")
    pair = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    holder = AccessKeys(tmp_path / "keys.json", box(f"file:{tmp_path / 'secret'}"), QUOTAS, lambda: 0.0).holder(
        pair["AWS_ACCESS_KEY_ID"]
    )
    assert holder is not None
    assert holder.secret.decode() == pair["AWS_SECRET_ACCESS_KEY"]
    assert holder.key.rights == {"predict", "lists"}
    with pytest.raises(MisconfiguredError, match="choose of predict, events, lists, describe"):
        fraud("--add-access-key", "checkout", "--rights", "all")
    assert fraud("--remove-access-key", "checkout") == "checkout has 0 access keys left\n"
