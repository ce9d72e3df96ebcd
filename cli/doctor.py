"""`fraud doctor`: checks this machine and the configured endpoint, and says how to fix what it finds."""

from __future__ import annotations

from pathlib import Path

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json


def command(config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None) -> None:
    """Check Python, Java, disk, endpoint, credentials, streams, table and bucket; say how to fix each.

    Exit code 1 if any check fails. Without AWS credentials and without `aws.endpoint_url` the local demo still works:
    the last checks concern the configured endpoint only.

    Example: fraud doctor --set aws.endpoint_url=http://127.0.0.1:4566
    """
    from embedded import checks

    settings = open_program("doctor", config, assignments)
    findings = [
        checks.check_python(),
        checks.check_java(),
        checks.check_disk(Path(settings.job.state_folder)),
        checks.check_names(),
        checks.check_emulator(),
        checks.check_credentials(settings),
    ]
    if findings[-1].ok:
        findings.extend(checks.check_resources(settings))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FIX '}  {finding.name}: {finding.detail}")
        if not finding.ok:
            typer.echo(f"      -> {finding.remedy}")
    write_json(json, {finding.name: {"ok": finding.ok, "detail": finding.detail} for finding in findings})
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
