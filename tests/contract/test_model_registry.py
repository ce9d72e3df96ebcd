"""The registry behaves alike in a folder and on S3."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from adapters.model.registry import ModelRegistry, Stage, pack
from adapters.objects.opening import open_objects
from adapters.objects.store import ObjectStore
from fraud.errors import MisconfiguredError
from fraud.settings import Aws, Settings
from tests.support.emulators import provisioned

MONDAY = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
TUESDAY = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    with provisioned() as located:
        yield located


@pytest.fixture(params=["folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "folder":
        return open_objects(str(tmp_path / "registry"), Aws())
    located: Settings = request.getfixturevalue("settings")
    return open_objects(f"s3://{located.archive.bucket}/{request.node.originalname}", located.aws)


@pytest.fixture
def registry(objects: ObjectStore) -> ModelRegistry:
    return ModelRegistry(objects)


@pytest.fixture
def artifact(tmp_path: Path) -> Callable[[str], Path]:
    def write(content: str) -> Path:
        folder = tmp_path / f"artifact-{content}"
        folder.mkdir(exist_ok=True)
        (folder / "model.ubj").write_bytes(b"trees of " + content.encode())
        (folder / "model.json").write_text(f'{{"name": "{content}"}}')
        return folder

    return write


Artifact = Callable[[str], Path]


def stages(registry: ModelRegistry) -> dict[str, str]:
    return {entry.version: entry.stage.value for entry in registry.entries()}


def test_a_new_registry_is_empty_and_says_what_is_missing(registry: ModelRegistry) -> None:
    assert registry.entries() == []
    with pytest.raises(MisconfiguredError, match="holds no champion; versions: none"):
        registry.find("champion")


def test_what_is_fetched_is_what_was_registered(registry: ModelRegistry, artifact: Artifact, tmp_path: Path) -> None:
    entry = registry.register(artifact("a"), "va", {"auc": 0.9}, MONDAY)
    assert (entry.stage, entry.registered_at, entry.metrics) == (Stage.ARCHIVED, MONDAY, {"auc": 0.9})
    registry.fetch("va", tmp_path / "out")
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == {
        file.name: file.read_bytes() for file in artifact("a").iterdir()
    }


def test_one_champion_at_a_time_and_its_predecessor_is_archived(registry: ModelRegistry, artifact: Artifact) -> None:
    for name in "abc":
        registry.register(artifact(name), f"v{name}", {}, MONDAY)
    registry.promote("va", Stage.CHAMPION, MONDAY, "ada")
    registry.promote("vb", Stage.CHALLENGER, MONDAY, "ada")
    assert stages(registry) == {"va": "champion", "vb": "challenger", "vc": "archived"}
    registry.promote("vb", Stage.CHAMPION, TUESDAY, "bob", "wins")
    assert stages(registry) == {"va": "archived", "vb": "champion", "vc": "archived"}
    champion = registry.find("champion")
    assert (champion.version, champion.staged_at, champion.note) == ("vb", TUESDAY, "wins")
    replaced = registry.find("va")
    assert (replaced.note, replaced.staged_by) == ("replaced by vb", "bob")
    assert [(one.stage, one.at, one.by) for one in replaced.stagings] == [
        (Stage.CHAMPION, MONDAY, "ada"),
        (Stage.ARCHIVED, TUESDAY, "bob"),
    ]
    assert registry.find("vc").staged_by == "", "nobody has given it one"


def test_registering_again_changes_nothing(registry: ModelRegistry, artifact: Artifact) -> None:
    registry.register(artifact("a"), "va", {}, MONDAY)
    registry.promote("va", Stage.CHAMPION, MONDAY, "ada")
    assert registry.register(artifact("a"), "va", {}, TUESDAY).stage is Stage.CHAMPION
    assert len(registry.entries()) == 1


def test_other_content_under_the_same_version_is_refused_with_both_sides_named(
    registry: ModelRegistry, artifact: Artifact
) -> None:
    first = registry.register(artifact("a"), "va", {}, MONDAY)
    with pytest.raises(MisconfiguredError, match=f"SHA-256 [0-9a-f]{{64}}, .* in the registry {first.sha256}"):
        registry.register(artifact("b"), "va", {}, TUESDAY)


def test_a_changed_object_is_not_fetched(
    registry: ModelRegistry, objects: ObjectStore, artifact: Artifact, tmp_path: Path
) -> None:
    entry = registry.register(artifact("a"), "va", {}, MONDAY)
    found = objects.get("va/model.tar.gz")
    assert found is not None
    assert objects.replace("va/model.tar.gz", pack(artifact("b")), found.tag)
    with pytest.raises(MisconfiguredError, match=f"SHA-256 [0-9a-f]{{64}}, registered was {entry.sha256}"):
        registry.fetch("va", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_writers_at_the_same_time_lose_nothing(objects: ObjectStore, artifact: Artifact) -> None:
    def register(name: str) -> None:
        ModelRegistry(objects).register(artifact(name), f"v{name}", {}, MONDAY)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(register, "abc"))
    assert stages(ModelRegistry(objects)) == dict.fromkeys(("va", "vb", "vc"), "archived")
