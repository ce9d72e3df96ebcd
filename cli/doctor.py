"""`fraud doctor`: checks this machine and the configured endpoint, and says how to fix what it finds."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json


def command(
    aws: Annotated[
        bool, typer.Option("--aws", help="Instead: what a first start on AWS needs, as whoever runs this may use it.")
    ] = False,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Instead: what the cluster needs that kubectl is set up for.")
    ] = False,
    namespace: Annotated[str, typer.Option(help="Of the release, with --cluster.")] = "fraud",
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Check Python, Java, disk, endpoint, credentials, streams, table and bucket; say how to fix each.

    With --aws: credentials, streams, table, bucket, the rights to write to them, policy, model, clock, and whether a
    new query begins with history. With --cluster: operators, add-ons, node pools and namespace. Exit code 1 if any
    check fails. Without AWS credentials and without `aws.endpoint_url` the local demo still works: the last checks
    concern the configured endpoint only.

    \b
    Examples:
      fraud doctor --set aws.endpoint_url=http://127.0.0.1:4566
      fraud doctor --aws --config settings.json
      fraud doctor --cluster
    """
    from embedded import checks

    settings = open_program("doctor", config, assignments)
    findings: list[checks.Finding] = []
    if cluster:
        from embedded.cluster_checks import check_cluster

        findings.extend(check_cluster(namespace))
    if not aws and not cluster:
        findings += [
            checks.check_python(),
            checks.check_java(),
            checks.check_disk(Path(settings.job.state_folder)),
            checks.check_names(),
            checks.check_emulator(),
        ]
    if aws or not cluster:
        findings.append(checks.check_credentials(settings))
        if findings[-1].ok:
            findings.extend(checks.check_resources(settings))
    if aws and findings[-1].ok:
        from embedded.aws_checks import check_first_start

        findings.extend(check_first_start(settings, time.time))
    for finding in findings:
        typer.echo(f"{'ok  ' if finding.ok else 'FIX '}  {finding.name}: {finding.detail}")
        if what_to_do := finding.advice if finding.ok else finding.remedy:
            typer.echo(f"      -> {what_to_do}")
    write_json(json, {finding.name: {"ok": finding.ok, "detail": finding.detail} for finding in findings})
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
