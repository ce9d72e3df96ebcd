"""`make s3a-check`, as far as it goes without Maven's repository: what it skips, resolves, and starts the job with."""

from __future__ import annotations

import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from fraud.errors import FatalError
from fraud.settings import Aws, Settings
from infrastructure.checks import s3a
from infrastructure.checks.images import JARS

NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}
OWN = Path.home() / ".m2" / "repository"
BROUGHT = (
    "<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId><version>2.0.0</version></dependency>"
)
"""A dependency of hadoop-aws that jars.xml excludes, and that the repository has not."""

needs_maven = pytest.mark.skipif(shutil.which("mvn") is None, reason="Maven is not installed")


def maven(folder: Path, mirror: str, own: Path) -> list[str]:
    """Options of a Maven that asks one place alone and keeps what it learns in the folder."""
    settings = folder / "settings.xml"
    settings.write_text(
        "<settings><mirrors><mirror><id>central</id><mirrorOf>*</mirrorOf>"
        f"<url>{mirror}</url></mirror></mirrors></settings>"
    )
    return ["--settings", str(settings), f"-Dmaven.repo.local={own}"]


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A copy of this machine's local repository, which has Maven's plugin with all that it needs."""
    if OWN.exists():
        shutil.copytree(OWN, tmp_path / "own", copy_function=os.symlink)
    return tmp_path / "own"


def named() -> list[tuple[str, str, str]]:
    """Group, artifact and version of each jar that the image names."""
    project = ET.parse(JARS).getroot()
    properties = {
        f"${{{each.tag.partition('}')[2]}}}": each.text or "" for each in project.findall("m:properties/*", NAMESPACE)
    }
    found = []
    for each in project.findall("m:dependencies/m:dependency", NAMESPACE):
        group, artifact, version = (
            str(each.findtext(f"m:{name}", "", NAMESPACE)) for name in ("groupId", "artifactId", "version")
        )
        found.append((group, artifact, properties.get(version, version)))
    return found


def repository(folder: Path, without: str = "") -> str:
    """A repository of files that has the named jars, but for one."""
    for group, artifact, version in named():
        if artifact == without:
            continue
        place = folder / group.replace(".", "/") / artifact / version
        place.mkdir(parents=True)
        (place / f"{artifact}-{version}.jar").write_bytes(b"PK")
        brought = BROUGHT if artifact == "hadoop-aws" else ""
        (place / f"{artifact}-{version}.pom").write_text(
            f"<project><modelVersion>4.0.0</modelVersion><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
            f"<version>{version}</version><dependencies>{brought}</dependencies></project>"
        )
    return folder.as_uri()


def resolve(folder: Path, options: list[str]) -> None:
    """Resolves the jars, unless this machine has not all of Maven's plugin."""
    try:
        assert s3a.resolve(folder / "jars", options) is None
    except FatalError as error:
        if "PluginResolutionException" in str(error):
            pytest.skip("not all of Maven's dependency plugin is at hand, and no repository is asked for it")
        raise


@pytest.mark.long
@needs_maven
def test_it_is_skipped_in_one_line_where_the_repository_is_not_reached(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["s3a", *maven(tmp_path, "http://127.0.0.1:1", tmp_path / "own")])
    assert s3a.main() == 0
    assert capsys.readouterr().out == "s3a-check: skipped, Maven's repository is not reached from here\n"


@pytest.mark.long
@needs_maven
def test_the_jars_that_the_image_names_are_resolved_and_no_others(tmp_path: Path, own: Path) -> None:
    resolve(tmp_path, maven(tmp_path, repository(tmp_path / "repository"), own))
    found = {file.name for file in (tmp_path / "jars").iterdir()}
    assert found == {f"{artifact}-{version}.jar" for _, artifact, version in named()}
    assert len(found) == 3


@pytest.mark.long
@needs_maven
def test_a_jar_that_a_reached_repository_has_not_is_no_reason_to_skip(tmp_path: Path, own: Path) -> None:
    options = maven(tmp_path, repository(tmp_path / "repository", without="bundle"), own)
    with pytest.raises(FatalError, match=r"software\.amazon\.awssdk:bundle"):
        resolve(tmp_path, options)


def test_the_job_runs_with_the_charts_options_but_calls_the_emulator(tmp_path: Path) -> None:
    chart = {
        "spark.hadoop.fs.s3a.bucket.probe": "0",
        "spark.hadoop.fs.s3a.aws.credentials.provider": "ContainerCredentialsProvider",
        "spark.sql.streaming.checkpointFileManagerClass": "Abortable",
        "spark.driver.memory": "9g",
    }
    options = s3a.on_s3a(Settings(aws=Aws(endpoint_url="http://127.0.0.1:4566")), tmp_path, chart)
    assert options["spark.hadoop.fs.s3a.bucket.probe"] == "0"
    assert options["spark.hadoop.fs.s3a.endpoint"] == "http://127.0.0.1:4566"
    assert options["spark.hadoop.fs.s3a.aws.credentials.provider"].endswith("SimpleAWSCredentialsProvider")
    assert options["spark.sql.streaming.checkpointFileManagerClass"] == "Abortable"
    assert options["spark.driver.extraClassPath"] == f"{tmp_path}/*"
    assert "spark.driver.memory" not in options
