"""The reference page of the command line: every command with its help, its examples and its options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import typer

from cli.main import build_app
from ml_model.__main__ import train

_SHARED = ("--config", "--set", "--json")
_HEAD = """\
# Command line
Generated from the code of the commands. `fraud` is at `.venv/bin/fraud`; `fraud COMMAND --help` shows the same.

| also started as | is |
|---|---|
| `python -m producer.main` | [`fraud produce`](#fraud-produce) |
| `python -m processor.main` | [`fraud process`](#fraud-process) |
| `python -m ml_model serve` | [`fraud serve`](#fraud-serve) |
| `python -m ml_model train` | [its own command](#python--m-ml_model-train), in SageMaker's training jobs |

Exit codes: 0 done, 1 failed or found what it looks for, 2 something must be fixed first, 130 interrupted.

## Shared options
| option | meaning |
|---|---|
"""


@dataclass(frozen=True)
class Option:
    """An option or an argument.

    Attributes:
        names: as they are typed, for instance `--console` and `--no-console`; an argument's own name.
        usage: the names with the kind of value.
        meaning: its help.
        bounds: default and bounds, empty where there are none.
        is_argument: whether it is given by its position.
    """

    names: tuple[str, ...]
    usage: str
    meaning: str
    bounds: str
    is_argument: bool


@dataclass(frozen=True)
class Command:
    """A command of the command line.

    Attributes:
        name: as it is typed, for instance `fraud state show`.
        help: its text without the examples.
        examples: one line of a shell each; a line may go on in the next one.
        options: in the order of the help.
    """

    name: str
    help: str
    examples: tuple[str, ...]
    options: tuple[Option, ...]


def commands() -> Iterator[Command]:
    """Every command, those of `fraud` in the order of its help."""
    yield from _below("fraud", typer.main.get_command(build_app()))
    alone = typer.Typer(add_completion=False)
    alone.command()(train)
    yield from _below("python -m ml_model train", typer.main.get_command(alone))


def _below(name: str, command: Any) -> Iterator[Command]:
    subcommands: dict[str, Any] = getattr(command, "commands", {})
    for word, found in subcommands.items():
        yield from _below(f"{name} {word}", found)
    if not subcommands:
        text, examples = _parted(command.help or "")
        context = typer.Context(command, info_name=name)
        options = (_option(found, context) for found in command.get_params(context))
        yield Command(name, text, examples, tuple(option for option in options if "--help" not in option.names))


def _parted(text: str) -> tuple[str, tuple[str, ...]]:
    """The help without its examples, and these.

    >>> _parted("Does it.\\n\\nExample: fraud do --it")
    ('Does it.', ('fraud do --it',))
    """
    said, _, shown = text.replace("\b\n", "").partition("\nExample")
    lines = shown.removeprefix("s").removeprefix(":").strip("\n")
    return said.strip(), tuple(inspect.cleandoc(lines).splitlines())


def _option(parameter: Any, context: Any) -> Option:
    usage, said = parameter.get_help_record(context)
    meaning, bracket, bounds = f"  {said}".rpartition("  [")
    return Option(
        names=(*parameter.opts, *parameter.secondary_opts),
        usage=usage.replace(" range>", ">"),
        meaning=meaning.strip() if bracket else said,
        bounds=bounds.removesuffix("]") if bracket else "",
        is_argument=not parameter.opts[0].startswith("-"),
    )


def command_line_page() -> str:
    """The page."""
    found = list(commands())
    shared = {option.names[0]: option for command in found for option in command.options if option.names[0] in _SHARED}
    lines = [_HEAD.rstrip("\n"), *(f"| `{shared[name].usage}` | {shared[name].meaning} |" for name in _SHARED)]
    lines += ["", "## Commands", "| command | what it does |", "|---|---|"]
    for command in found:
        first = command.help.split("\n\n")[0].replace("\n", " ")
        lines.append(f"| [`{command.name}`](#{_anchor(command.name)}) | {first} |")
    for command in found:
        lines += ["", *_section(command)]
    return "\n".join(lines) + "\n"


def _anchor(heading: str) -> str:
    return heading.replace(".", "").replace(" ", "-")


def _section(command: Command) -> Iterator[str]:
    yield f"## {command.name}"
    yield command.help
    yield ""
    yield from ("```", *command.examples, "```")
    own = [option for option in command.options if option.names[0] not in _SHARED]
    if own:
        yield ""
        yield "| option | meaning | default, bounds |"
        yield "|---|---|---|"
        for option in own:
            bounds = f"`{option.bounds}`" if option.bounds else ""
            yield (
                "| "
                + " | ".join(text.replace("|", "\\|") for text in (f"`{option.usage}`", option.meaning, bounds))
                + " |"
            )
    shared = [f"`{option.names[0]}`" for option in command.options if option.names[0] in _SHARED]
    if shared:
        yield ""
        yield f"[Shared options](#shared-options): {', '.join(shared)}."
