"""`fraud inspect`: looks at somebody's file of transactions, proposes a mapping and draws what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.recordings.bad_rows import OnBadRow
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from adapters.recordings.profile import Profile
    from adapters.recordings.propose import Proposal

_SHOWN = 10


def command(
    recording: Annotated[Path, typer.Argument(metavar="FILE", help="A file, a folder of files or a pattern.")],
    write: Annotated[
        Path | None, typer.Option(metavar="MAPPING", help="Write the proposed mapping to this file.")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="Look with this mapping (a name or a file) instead of proposing one.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write the profile with its plots as one HTML page.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Look at a recording: what it is written in, how its columns become ours, and what is in it.

    The proposed mapping can be used at once; what is not certain stands in it as a comment with the assumption that was
    taken. All rows are read with it: those that cannot be read are counted, the first of them shown. Exit code 1 if the
    mapping has to be completed first: no column holds times or amounts, or no row can be read.

    \b
    Examples:
      fraud inspect transactions.csv.gz --write mapping.yaml
      fraud inspect 'days/*.csv' --html profile.html
      fraud inspect fraudTrain.csv --mapping sparkov
      fraud demo --replay transactions.csv.gz --mapping mapping.yaml
    """
    import tempfile

    from adapters.recordings.formats import open_recording
    from adapters.recordings.mapping import load_mapping
    from adapters.recordings.profile import Profile, render_profile
    from adapters.recordings.propose import MISSING, propose, write_yaml
    from adapters.recordings.reading import RecordingReader

    settings = open_program("inspect", config, assignments)
    opened = open_recording(recording)
    typer.echo(f"{recording}: {opened.described}, columns: {', '.join(opened.columns)}")
    proposal = None
    with tempfile.TemporaryDirectory() as folder:
        name = mapping
        if name is None:
            proposal = propose(opened, settings.money.base_currency)
            file = write or Path(folder) / "mapping.yaml"
            _write(file, write_yaml(proposal, opened.described, str(recording)))
            name = str(file)
        loaded = load_mapping(name)
    unknown: dict[str, Any] = {}
    for missing in proposal.missing if proposal is not None else ():
        unknown |= MISSING[missing][1]
    loaded = loaded.model_copy(update={"constants": loaded.constants | unknown})
    reader = RecordingReader(recording, loaded, settings.money.base_currency, OnBadRow.DEAD_LETTER)
    if proposal is not None:
        _print_proposal(proposal)
    profile = Profile(settings.money.base_currency, unknown)
    for frame in reader.converted():
        profile.add(frame)
    for line in profile.first_records(_SHOWN):
        typer.echo(line)
    figures = profile.figures() | {"bad_rows": reader.findings.bad}
    _print_profile(profile, figures)
    for line in reader.warnings():
        typer.echo(line if line.startswith("  ") else f"note: {line}")
    write_json(json, {"described": opened.described, "columns": list(opened.columns)} | _said(proposal) | figures)
    if html is not None:
        _write(html, render_profile(profile, str(recording), opened.described, proposal, reader.warnings()))
        typer.echo(f"written to {html}")
    if proposal is not None:
        written = f"mapping written to {write}; " if write is not None else ""
        used = f"--mapping {write or 'MAPPING'}"
        if proposal.missing:
            faults = ", ".join(f"{name} ({MISSING[name][0]})" for name in proposal.missing)
            typer.echo(f"{written}incomplete, missing: {faults}; add it, then: fraud inspect {recording} {used}")
        elif reader.findings.rows and write is not None:
            typer.echo(f"{written}try it: fraud demo --replay {recording} {used}")
    if reader.findings.rows == 0:
        typer.echo(f"no row of {recording} can be read with this mapping")
    if reader.findings.rows == 0 or (proposal is not None and proposal.missing):
        raise typer.Exit(1)


def _said(proposal: Proposal | None) -> dict[str, Any]:
    if proposal is None:
        return {}
    return {
        "mapping": proposal.mapping,
        "confidence": proposal.confidence,
        "questions": proposal.questions,
        "missing": proposal.missing,
    }


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text)
    except OSError as error:
        raise MisconfiguredError(str(file), f"cannot be written: {error.strerror}") from None


def _print_proposal(proposal: Proposal) -> None:
    typer.echo("proposed mapping:")
    for field, column in proposal.mapping["columns"].items():
        shown = column if isinstance(column, str) else " and ".join(column)
        typer.echo(f"  {field:<18} {shown:<28} {proposal.confidence.get(field, 'high')}")
    for name, words in proposal.missing.items():
        typer.echo(f"  {name:<18} missing: {words}")
    for section, content in proposal.mapping.items():
        if section not in ("columns", "constants"):
            typer.echo(f"  {section}: {content}")
    typer.echo("open questions, with the assumption taken:")
    for about, question in proposal.questions.items():
        typer.echo(f"  {about}: {question}")
    for note in proposal.notes:
        typer.echo(f"note: {note}")


def _print_profile(profile: Profile, figures: dict[str, Any]) -> None:
    for words, value in profile.table(figures):
        typer.echo(f"  {words:<24} {value}")
