"""What the documents say exists does exist, and what exists is documented."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from adapters.program.metrics import REGISTRY
from cli.main import build_app
from fraud.settings import Settings
from scripts.reference.command_line import Command, commands

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "infrastructure/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
BENCHMARKS = ROOT / "docs" / "benchmarks.md"
COMMANDS = {command.name: command for command in commands()}
ALSO_STARTED_AS = {
    "python -m producer.main": "fraud produce",
    "python -m processor.main": "fraud process",
    "python -m ml_model serve": "fraud serve",
}
SETTINGS = {f"{name}.{key}" for name, section in Settings().model_dump().items() for key in section}
VALUES = yaml.safe_load((ROOT / "infrastructure" / "helm" / "fraud" / "values.yaml").read_text())
FILE_SUFFIXES = {"csv", "db", "gz", "html", "json", "md", "py", "tar", "ubj", "yaml"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    missing = [
        target for target in targets if not target.startswith("http") and not (document.parent / target).exists()
    ]
    assert not missing


def shown(text: str) -> Iterator[str]:
    """The command lines of a document that start a program of ours: in code blocks and in the text."""
    starts = "|".join(["fraud", *ALSO_STARTED_AS, "python -m ml_model train"])
    joined = re.sub(r"\\\n\s*", "", text)
    fenced = re.findall(r"^```\w*\n(.*?)^```", joined, re.MULTILINE | re.DOTALL)
    indented = re.findall(r"^ {4,}\S.*$", joined, re.MULTILINE)
    line = re.compile(rf"^ *(?:\$ |[A-Z]\S*=\S+ )*((?:{starts}) [a-z-].*)$", re.MULTILINE)
    for code in (*fenced, *indented):
        yield from line.findall(code)
    yield from re.findall(rf"`((?:{starts})(?: [a-z-][^`]*)?)`", joined)


def command_of(line: str) -> tuple[Command | None, list[str]]:
    """The command of a line, and what the line gives it; none for a group such as `fraud models`."""
    for name, instead in ALSO_STARTED_AS.items():
        line = line.replace(name, instead)
    words = shlex.split(re.split(r" [|&>]| 2>", line)[0], comments=True)
    for count in range(len(words), 0, -1):
        if command := COMMANDS.get(" ".join(words[:count])):
            return command, words[count:]
    assert any(name.startswith(" ".join(words)) for name in COMMANDS), f"no such command: {line}"
    return None, []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_of_ours_exists_with_its_options(document: Path) -> None:
    for line in shown(document.read_text()):
        command, words = command_of(line)
        if command is not None:
            options = {name for option in command.options for name in option.names} | {"--help"}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_that_is_named_exists(document: Path) -> None:
    known = {name for command in COMMANDS.values() for option in command.options for name in option.names} | {"--help"}
    assert set(re.findall(r"`(--[a-z-]+)", document.read_text())) <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(document: Path) -> None:
    named = re.findall(rf"(?<![\w./-])((?:{'|'.join(Settings.model_fields)})(?:\.\w+)+)", document.read_text())
    assert [name for name in named if name.split(".")[-1] not in FILE_SUFFIXES and not is_setting(name)] == []


def is_setting(name: str) -> bool:
    """Whether a program or the chart has it."""
    found: Any = VALUES
    for word in name.split("."):
        found = found.get(word) if isinstance(found, dict) else None
    return found is not None or ".".join(name.split(".")[:2]) in SETTINGS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_metric_that_is_named_exists(document: Path) -> None:
    named = set(re.findall(r"`fraud_[a-z_]*[a-z](?![\w*])", document.read_text()))
    assert named <= {f"`{metric.name}" for metric in REGISTRY}


def test_every_command_option_setting_and_metric_is_documented() -> None:
    sections = dict(
        re.findall(r"^## (fraud .*)\n((?:(?!## ).*\n)*)", (ROOT / "docs/reference/cli.md").read_text(), re.MULTILINE)
    )
    written = "\n".join(document.read_text() for document in DOCUMENTS)

    def walk(name: str, command: Any) -> Iterator[str]:
        for word, found in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {word}", found)
        if not hasattr(command, "commands"):
            names = [opt for parameter in command.params for opt in (*parameter.opts, *parameter.secondary_opts)]
            yield from (f"{name}: {opt}" for opt in names if f"{opt}" not in sections.get(name, ""))

    assert list(walk("fraud", typer.main.get_command(build_app()))) == []
    assert [name for name in sorted(SETTINGS) if f"`{name}`" not in written] == []
    assert [metric.name for metric in REGISTRY if f"`{metric.name}`" not in written] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_says_what_it_does_and_shows_an_example_that_it_takes(name: str) -> None:
    command = COMMANDS[name]
    assert len(command.help) > 20
    assert [option.names for option in command.options if not option.meaning] == []
    assert command.examples
    for line in shown("```\n" + "\n".join(command.examples) + "\n```"):
        found, words = command_of(line)
        assert found is not None, line
        assert {word.partition("=")[0] for word in words if word.startswith("--")} <= {
            option for each in found.options for option in each.names
        }, line
    assert any(command_of(line)[0] is command for line in shown("```\n" + "\n".join(command.examples) + "\n```"))


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text())) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_anchor_is_a_heading(document: Path) -> None:
    """Anchors as GitHub makes them of headings: lower case, punctuation dropped, spaces to hyphens."""
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", document.read_text()):
        page = (document.parent / target) if target else document
        if not target.startswith("http") and page.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_benchmark_exists(document: Path) -> None:
    named = set(re.findall(r"`?benchmarks\.(\w+)(?!\w*\.md)", document.read_text())) - {"md", "NAME"}
    assert [name for name in sorted(named) if not (ROOT / "benchmarks" / f"{name}.py").exists()] == []


def test_every_benchmark_with_a_command_is_on_the_page_of_benchmarks() -> None:
    modules = {path.stem: path.read_text() for path in (ROOT / "benchmarks").glob("*.py")}
    commands = {name for name, text in modules.items() if "__main__" in text}
    assert commands == set(re.findall(r"^\| `python -m benchmarks\.(\w+)`", BENCHMARKS.read_text(), re.MULTILINE))


def test_every_term_of_the_glossary_is_in_its_place_and_says_where_it_is_used() -> None:
    _, *entries = re.split(r"^### ", (ROOT / "docs" / "glossary.md").read_text(), flags=re.MULTILINE)
    terms = [entry.splitlines()[0] for entry in entries]
    assert terms == sorted(terms, key=str.lower)
    assert [entry for entry in entries if "](" not in entry] == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    runbooks = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md"]
    listed = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\(([^)#]+)", index)}
    listed |= {(ROOT / "docs" / "runbooks" / target).resolve() for target in re.findall(r"\]\(([^)#]+)", runbooks)}
    assert [str(page.relative_to(ROOT)) for page in pages if page not in listed] == []


def test_every_decision_record_has_a_number_of_its_own_in_order() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(record.name[:4]) for record in records] == list(range(1, len(records) + 1))
    assert [int(re.findall(r"^# (\d+)\. ", record.read_text())[0]) for record in records] == list(
        range(1, len(records) + 1)
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_place_in_the_code_exists(document: Path) -> None:
    """Places are written `folder/module.py` or `folder/module.py:Class.method`, from the root or the page's folder."""
    for path, name in re.findall(r"`((?:[\w.]+/)+\w+\.py)(?::([\w.]+))?`", document.read_text()):
        if "NAME" not in path:
            found = [folder / path for folder in (ROOT, document.parent) if (folder / path).is_file()]
            assert found, path
            assert not name or is_defined(ast.parse(found[0].read_text()), name.split(".")), f"{path}:{name}"


def is_defined(scope: ast.AST, names: list[str]) -> bool:
    """Whether a module or class defines a name, and this the next one."""
    for node in ast.iter_child_nodes(scope):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found = name == names[0]
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                found = name == names[0]
            case _:
                found = False
        if found:
            return len(names) == 1 or is_defined(node, names[1:])
    return False


def test_the_code_of_the_tour_prints_what_the_tour_says() -> None:
    text = (ROOT / "docs" / "tour.md").read_text()
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    (said,) = re.findall(r"^prints\n\n```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (said, "")
