"""`fraud import-afd`: takes a detector over from Amazon Fraud Detector."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import JsonOption, write_json
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from decision_service.afd.verify import Verified
    from fraud.decision.policy.compiled import CompiledPolicy
    from fraud.decision.rules.fields import Fields


def command(
    folder: Annotated[
        Path, typer.Argument(help="Folder with the saved answers of the API, see docs/migrate-from-fraud-detector.md.")
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for policy.yaml, mapping.yaml, detector.json, recording-*.yaml and report.md.")
    ] = Path("imported"),
    mapping: Annotated[
        Path | None, typer.Option(help="A corrected mapping.yaml; without it, variables and outcomes are guessed.")
    ] = None,
    verify: Annotated[
        Path | None,
        typer.Option(help="Recorded answers of the service (JSON lines) to compare with the imported rules' own."),
    ] = None,
    json: JsonOption = None,
) -> None:
    """Turn a detector's rules, lists, outcomes and labels into a policy, and report what does not carry over.

    For each event type, recording-NAME.yaml maps its stored events (CSV), so that `fraud train`, `evaluate` and
    `produce` read them. detector.json keeps what was exported: `fraud decide` answers for the detector by it.
    With --verify, recorded answers are compared rule by rule; exit code 1 where any differs.

    \b
    Examples:
      fraud import-afd exported/ --out imported/
      fraud import-afd exported/ --out imported/ --mapping imported/mapping.yaml
      fraud import-afd exported/ --mapping imported/mapping.yaml --verify recorded.jsonl
    """
    import msgspec
    import yaml

    from adapters.files.text_files import read_model
    from fraud.decision.policy.bundle import ROOT, PolicyBundle
    from fraud.decision.policy.compiler import compile_policy
    from fraud.decision.rules.fields import fields_of
    from fraud.features import CATALOGUE
    from fraud.migration.convert import Carries, convert
    from fraud.migration.mapping import NameMapping, guess_mapping
    from fraud.migration.shapes import DETECTOR, detector_of

    exported = read_export(folder)
    detector = detector_of(str(folder), exported)
    names = read_model(mapping, NameMapping) if mapping is not None else guess_mapping(detector)
    fields = fields_of(CATALOGUE)
    imported = convert(detector, names, fields)
    policy = compile_policy(PolicyBundle({ROOT: imported.policy}), fields)
    out.mkdir(parents=True, exist_ok=True)
    (out / "policy.yaml").write_text(imported.policy, encoding="utf-8")
    (out / DETECTOR).write_bytes(msgspec.json.format(msgspec.json.encode(exported), indent=1))
    for name, recording in imported.recordings.items():
        (out / f"recording-{name}.yaml").write_text(recording, encoding="utf-8")
    (out / "mapping.yaml").write_text(yaml.safe_dump(names.model_dump(exclude_defaults=True)), encoding="utf-8")
    lines = [f"- {finding.subject}: **{finding.carries}**. {finding.note}" for finding in imported.findings]
    (out / "report.md").write_text("# What carries over\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    counts = {kind: sum(finding.carries is kind for finding in imported.findings) for kind in Carries}
    for finding in imported.findings:
        if finding.carries is not Carries.EXACT:
            print(f"{finding.carries}: {finding.subject}: {finding.note}")
    print(", ".join(f"{count} {kind}" for kind, count in counts.items()) + f"; wrote {out}/")
    verified = None if verify is None else _verify(out, policy, fields, verify)
    differences = {} if verified is None else {"verified": vars(verified)}
    write_json(json, {"counts": counts, "findings": [vars(finding) for finding in imported.findings]} | differences)
    if verified is not None and verified.differing:
        raise typer.Exit(1)


def _verify(folder: Path, policy: CompiledPolicy, fields: Fields, file: Path) -> Verified:
    """Compares recorded answers with those of what was imported, and says what differs."""
    import os

    from adapters.program.configuration import load_settings
    from decision_service.afd.detector import open_detector
    from decision_service.afd.verify import verify

    settings = load_settings(None, os.environ)
    served = open_detector(folder, settings.money.base_currency, fields)
    try:
        with file.open("rb") as lines:
            found = verify(served, policy, lines, str(file), settings)
    except OSError as error:
        raise MisconfiguredError(f"--verify {file}", f"cannot be read: {error.strerror}") from None
    for line in found.lines():
        print(line)
    return found


def read_export(folder: Path) -> dict[str, Any]:
    """Joins the saved answers: `get-rules*.json` and so on; pages of one call may lie in several files.

    Raises:
        MisconfiguredError: a file cannot be read, or there is not exactly one version of a detector.
    """

    def elements(call: str, key: str) -> list[Any]:
        return [element for file in sorted(folder.glob(f"{call}*.json")) for element in _load(file).get(key, [])]

    versions = sorted(folder.glob("get-detector-version*.json"))
    if len(versions) != 1:
        raise MisconfiguredError(
            str(folder), f"holds {len(versions)} files get-detector-version*.json, exactly one is needed"
        )
    metadata = elements("get-lists-metadata", "lists")
    return {
        "detectors": elements("get-detectors", "detectors"),
        "event_types": elements("get-event-types", "eventTypes"),
        "entity_types": elements("get-entity-types", "entityTypes"),
        "variables": elements("get-variables", "variables"),
        "labels": elements("get-labels", "labels"),
        "outcomes": elements("get-outcomes", "outcomes"),
        "rules": elements("get-rules", "ruleDetails"),
        "models": elements("get-models", "models"),
        "model_versions": elements("describe-model-versions", "modelVersionDetails"),
        "external_models": elements("get-external-models", "externalModels"),
        "version": _load(versions[0]),
        "lists_metadata": metadata,
        "lists": {entry["name"]: elements(f"get-list-elements-{entry['name']}", "elements") for entry in metadata},
    }


def _load(file: Path) -> dict[str, Any]:
    from adapters.files.text_files import read_text
    from fraud.documents import parse_json

    content = parse_json(str(file), read_text(file))
    if not isinstance(content, dict):
        raise MisconfiguredError(str(file), "not an answer of the API")
    return content
