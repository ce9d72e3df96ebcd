"""Checks the Dockerfiles without Docker: what they copy is there, and they run as nobody with power."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "infrastructure" / "images"
IGNORED = ROOT / ".dockerignore"
JARS = IMAGES / "jars.xml"
RESOLVE = IMAGES / "jars.sh"
_SPARKS = ("/opt/entrypoint.sh", "/opt/decom.sh")
"""What pods of Spark start and, before an executor's end, run; both lie beside Spark's folder in its image."""


def run() -> list[str]:
    """Problems found, each with its file; empty when all is well."""
    files = sorted(IMAGES.glob("*.Dockerfile"))
    problems = [problem for file in files for problem in (*check_dockerfile(file), *check_content(file))]
    if _patterns()[0] != "*":
        problems.append(
            f"{IGNORED.name}: a build is sent the whole checkout: begin with *, then let through what it copies"
        )
    for script in sorted(IMAGES.glob("*.sh")):
        checked = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
        if checked.returncode:
            problems.append(f"{script.name}: {checked.stderr.strip()}")
    return problems


def check_dockerfile(file: Path) -> list[str]:
    """Problems of one Dockerfile."""
    instructions = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE)).splitlines()
    words = [line.split() for line in instructions if line.strip()]
    problems = []
    stages: set[str] = set()
    for each in words:
        if each[0] == "FROM":
            tag = each[1].rpartition(":")[2] if ":" in each[1] else ""
            if tag in ("", "latest"):
                problems.append(f"{file.name}: {each[1]} names no version")
            if len(each) == 4:
                stages.add(each[3])
        if each[0] == "COPY":
            source = [word for word in each[1:-1] if not word.startswith("--")]
            stage = next((word.removeprefix("--from=") for word in each if word.startswith("--from=")), None)
            if stage is not None and stage not in stages:
                problems.append(f"{file.name}: there is no stage {stage}")
            if stage is None:
                for name in source:
                    if not (ROOT / name).exists():
                        problems.append(f"{file.name}: {name} is not there")
                    elif not _is_seen(name):
                        problems.append(f"{file.name}: {IGNORED.name} does not let {name} through")
    users = [each[1] for each in words if each[0] == "USER"]
    if not users or users[-1] in ("root", "0"):
        problems.append(f"{file.name}: runs as root")
    if not any(each[0] == "HEALTHCHECK" for each in words):
        problems.append(f"{file.name}: says nothing of its health")
    if sum(each[0] == "FROM" for each in words) < 2:
        problems.append(f"{file.name}: is not built in stages")
    return problems


def _is_seen(name: str) -> bool:
    """Whether a build sees a file or folder: the last line that is about it or what it lies in decides."""
    places = {"*", name, *(str(place) for place in Path(name).parents)}
    about = [pattern for pattern in _patterns() if pattern.removeprefix("!") in places]
    return not about or about[-1].startswith("!")


def _patterns() -> list[str]:
    return [line for line in IGNORED.read_text().splitlines() if line and not line.startswith("#")]


def check_content(file: Path) -> list[str]:
    """What an image of ours lacks: packages of the product, Spark's scripts, kernels compiled at its build."""
    text = file.read_text()
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    shipped = {name.removesuffix("*") for name in packages}
    problems = [f"{file.name}: the package {name} is not copied" for name in sorted(shipped - copied)]
    if "compile_kernels()" not in text or "/images/start.sh" not in text.rpartition("ENTRYPOINT")[2]:
        problems.append(
            f"{file.name}: every container compiles the kernels for itself: compile them, start by start.sh"
        )
    if "/opt/spark " in text:
        named, resolve = JARS.read_text(), RESOLVE.read_text()
        problems += [
            f"{file.name}: the build does not fail where the jar {jar} is absent, or it is not named"
            for jar in ("spark-hadoop-cloud_2.13", "hadoop-aws", "bundle")
            if f'"$folder"/{jar}-*.jar' not in resolve or f"<artifactId>{jar}</artifactId>" not in named
        ]
        if "RUN /build/jars.sh /jars\n" not in text:
            problems.append(f"{file.name}: {RESOLVE.name} does not resolve its jars")
        lacking = [name for name in _SPARKS if not re.search(rf"^COPY --from=spark .*{name}\b", text, re.MULTILINE)]
        problems += [f"{file.name}: {name} of Spark's image is not copied" for name in lacking]
        if "/images/job.sh" not in text.rpartition("ENTRYPOINT")[2]:
            problems.append(f"{file.name}: SIGTERM does not reach the driver: start by job.sh")
    return problems
