"""What a registry takes in, and the commands over it."""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adapters.model.registry import Entry, open_registry, pack, unpack
from cli.main import build_app
from fraud.errors import MisconfiguredError
from fraud.settings import Aws
from ml_model.artifact import TREES, artifact_sha256, load_artifact, save_artifact, version_of

SHIPPED = Path(__file__).parents[3] / "config" / "model" / "champion"


def test_packing_gives_the_same_bytes_for_the_same_content(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    for file in copied.iterdir():
        file.touch()
    assert pack(copied) == pack(SHIPPED)


def test_files_that_could_execute_on_load_are_refused(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    (copied / "model.pkl").write_bytes(b"\x80\x04.")
    with pytest.raises(MisconfiguredError, match=r"model\.pkl: does not belong"):
        pack(copied)


def test_an_unpacked_artifact_loads(tmp_path: Path) -> None:
    unpack(pack(SHIPPED), tmp_path)
    assert load_artifact(tmp_path)[1] == load_artifact(SHIPPED)[1]


def test_register_promote_and_fetch_by_command(tmp_path: Path) -> None:
    app, runner = build_app(), CliRunner()
    where = ["--set", f"model.registry={tmp_path / 'registry'}"]
    version = load_artifact(SHIPPED)[1].version
    for command in (["register", str(SHIPPED)], ["promote", version], ["fetch", "champion", "--out", str(tmp_path)]):
        result = runner.invoke(app, ["models", *command, *where], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    assert f"{version} (champion)" in result.output
    assert result.output.split()[-1] == artifact_sha256(SHIPPED)
    assert load_artifact(tmp_path)[1].version == version


def test_a_new_version_replaces_a_champion_by_hand_only_where_somebody_says_so(tmp_path: Path) -> None:
    trees, description = (SHIPPED / TREES).read_bytes(), load_artifact(SHIPPED)[1]
    calibration = description.calibration.model_copy(update={"intercept": 0.5})
    other = description.model_copy(update={"version": version_of(trees, calibration), "calibration": calibration})
    save_artifact(tmp_path / "other", trees, other)
    registry = tmp_path / "registry"

    def models(*command: str) -> str:
        result = CliRunner().invoke(build_app(), ["models", *command, "--set", f"model.registry={registry}"])
        return str(result.exception or "")

    def champion() -> Entry:
        return open_registry(str(registry), Aws()).find("champion")

    for folder in (SHIPPED, tmp_path / "other"):
        assert not models("register", str(folder))
    assert not models("promote", description.version), "there is nothing to beat"
    assert f"`fraud models challenge {other.version}`" in models("promote", other.version)
    assert not models("promote", other.version, "--stage", "challenger")
    assert champion().version == description.version
    assert not models("promote", other.version, "--ungated", "--note", "calibrated again")
    assert (champion().version, champion().note) == (other.version, "without the gate: calibrated again")
    assert not models("promote", description.version, "--note", "regressed"), "it has been champion before"
    assert (champion().version, champion().note) == (description.version, "regressed")


def test_a_damaged_artifact_is_not_registered(tmp_path: Path) -> None:
    copied = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    trees = bytearray((copied / TREES).read_bytes())
    trees[-10] ^= 1
    (copied / TREES).write_bytes(trees)
    arguments = ["models", "register", str(copied), "--set", f"model.registry={tmp_path / 'registry'}"]
    result = CliRunner().invoke(build_app(), arguments)
    assert isinstance(result.exception, MisconfiguredError)
    assert not (tmp_path / "registry").exists()


def test_what_a_training_job_packed_is_registered(tmp_path: Path) -> None:
    where = ["--set", f"model.registry={tmp_path / 'registry'}"]
    packed = tmp_path / "model.tar.gz"
    packed.write_bytes(pack(SHIPPED))
    output = CliRunner().invoke(build_app(), ["models", "register", str(packed), *where], catch_exceptions=False).output
    assert output.startswith(f"{load_artifact(SHIPPED)[1].version} is archived")

    packed.write_bytes(b"not a tar")
    with pytest.raises(MisconfiguredError, match=r"model\.tar\.gz: is not a model\.tar\.gz"):
        CliRunner().invoke(build_app(), ["models", "register", str(packed), *where], catch_exceptions=False)


def archive_of(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.size, member.linkname = kind, len(data), "/etc/passwd"
        archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.mark.parametrize(
    ("packed", "problem"),
    [
        (b"", "is not a model"),
        (b"\x1f\x8b\x08\x00junk", "is not a model"),
        (pack(SHIPPED)[:-500], "is not a model"),
        (archive_of("model.pkl", b"cos\nsystem"), "holds 'model.pkl', which does not belong"),
        (archive_of("model.json", b"", tarfile.SYMTYPE), "holds 'model.json', which does not belong"),
        (archive_of("../model.json", b"{}"), "is not a model"),
    ],
)
def test_what_is_no_packed_artifact_is_refused(tmp_path: Path, packed: bytes, problem: str) -> None:
    with pytest.raises(MisconfiguredError, match=problem):
        unpack(packed, tmp_path / "model")
    assert not (tmp_path / "model.json").exists()


def test_an_archive_that_unpacks_to_more_than_any_artifact_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.model.registry._MAX_UNPACKED_BYTES", 1_000)
    with pytest.raises(MisconfiguredError, match="unpacks to more than 1,000 bytes"):
        unpack(archive_of("model.ubj", b"\0" * 1_001), tmp_path)
    assert not list(tmp_path.iterdir())
