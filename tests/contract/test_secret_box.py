"""A box of secrets keeps them the same way, wherever its key is; that of KMS: test_afd_access_keys.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.aws.clients import aws_client
from adapters.program.secret_box import SecretBox, open_secret_box
from fraud.errors import MisconfiguredError
from fraud.settings import FraudDetector, Settings
from tests.support.emulators import provisioned

SETTING = "frauddetector.secrets"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


@pytest.fixture(params=["file", "env", "secretsmanager"])
def opened(request: pytest.FixtureRequest, cloud: Settings, tmp_path: Path) -> tuple[SecretBox, SecretBox]:
    """Two boxes of a kind whose keys differ."""
    kind = str(request.param)
    names = []
    for number in range(2):
        key = f"{number}" * 64
        if kind == "file":
            (tmp_path / f"{number}.key").write_text(f"{key}\n")
            names.append(str(tmp_path / f"{number}.key"))
        elif kind == "secretsmanager":
            names.append(f"box-{number}")
            aws_client(kind, cloud.aws).create_secret(Name=names[-1], SecretString=key)
        else:
            names.append(f"KEY_{number}")
    environment = {"KEY_0": "0" * 64, "KEY_1": "1" * 64}
    places = [FraudDetector(secrets=f"{kind}:{name}").secrets for name in names]
    first, second = (open_secret_box(SETTING, place, cloud.aws, environment) for place in places)
    return first, second


def test_what_was_closed_opens_under_its_name_and_key_alone(opened: tuple[SecretBox, SecretBox]) -> None:
    box, other = opened
    closed = box.close("FDAK1", b"secret")
    assert "secret" not in closed
    assert box.open("FDAK1", closed) == b"secret"
    assert box.close("FDAK1", b"secret") != closed
    for way_in, name in ((box, "FDAK2"), (other, "FDAK1")):
        with pytest.raises(MisconfiguredError, match=f"{SETTING}: does not open the secret of {name}"):
            way_in.open(name, closed)


def test_a_key_that_is_nowhere_or_too_short_is_refused_without_repeating_it(cloud: Settings) -> None:
    with pytest.raises(MisconfiguredError, match=f"{SETTING}: cannot read the secret absent"):
        open_secret_box(SETTING, "secretsmanager:absent", cloud.aws)
    aws_client("secretsmanager", cloud.aws).create_secret(Name="short", SecretString="hunter2")
    with pytest.raises(MisconfiguredError, match="is 7 bytes long, needed are 32") as refused:
        open_secret_box(SETTING, "secretsmanager:short", cloud.aws)
    assert "hunter2" not in str(refused.value)
