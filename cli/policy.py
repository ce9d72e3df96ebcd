"""`fraud policy`: checks and shows policies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.program.tables import print_table

if TYPE_CHECKING:
    from fraud.decision.policy.bundle import PolicyBundle
    from fraud.decision.policy.compiled import CompiledPolicy
    from fraud.settings import Settings

app = typer.Typer(help="Check and show policies: rules, lists and thresholds.", no_args_is_help=True)

FileArgument = Annotated[Path | None, typer.Argument(help="Policy file; default: the one that the settings name.")]


@app.command()
def check(
    file: FileArgument = None, config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None
) -> None:
    """Check a policy with all its files, and list every error with its position, and what is odd as a warning.

    Example: fraud policy check config/policy.yaml
    """
    from fraud.decision.policy.compiled import PolicyError

    settings = open_program("policy", config, assignments)
    bundle = _bundle(file, settings)
    try:
        policy = _compile(bundle, settings)
    except PolicyError as error:
        write_json(json, {"version": bundle.version, "faults": error.faults, "warnings": []})
        for fault in error.faults:
            print(fault)
        raise typer.Exit(error.exit_code) from None
    unmeasured = _unmeasured(policy, settings)
    found = {"faults": [], "warnings": list(policy.warnings), "unmeasured": unmeasured}
    write_json(json, {"version": policy.version, **found})
    for warning in policy.warnings:
        print(f"warning: {warning}")
    for entity, rules in unmeasured.items():
        print(f"features of {entity} are null, since job.entities has none: {', '.join(rules)}")
    print(f"version {policy.version}: {len(policy.rules)} rules evaluated, {len(policy.idle_rules)} not; no faults")


@app.command()
def show(
    file: FileArgument = None, config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None
) -> None:
    """Show a policy: its rules in order of importance, lists, segments and thresholds.

    Example: fraud policy show --set policy.path=s3://fraud-archive/policy/policy.yaml
    """
    settings = open_program("policy", config, assignments)
    policy = _compile(_bundle(file, settings), settings)
    write_json(json, _figures(policy))
    print(f"version {policy.version}")
    rules = (compiled.rule for compiled in [*policy.rules, *policy.idle_rules])
    print_table(
        ["rule", "state", "asks for", "severity", "condition"],
        [[rule.id, rule.state, rule.outcome, rule.severity, " ".join(rule.when.split())] for rule in rules],
    )
    chosen = [*((s.name, s.thresholds, s.condition.text) for s in policy.segments), ("default", policy.thresholds, "")]
    print_table(
        ["segment", "review from", "decline from", "condition"],
        [[name, _limit(limits.review), _limit(limits.decline), condition] for name, limits, condition in chosen],
    )
    if tried := policy.shadow_thresholds:
        print_table(
            ["segment, in shadow", "review from", "decline from"],
            [[name, _limit(limits.review), _limit(limits.decline)] for name, limits in tried.items()],
        )
    if policy.lists:
        print_table(
            ["list", "kind", "of", "state", "entries"],
            [[each.name, each.kind, each.of, policy.state_of_list(each.name), each.size] for each in policy.lists],
        )


def _unmeasured(policy: CompiledPolicy, settings: Settings) -> dict[str, list[str]]:
    """Rules on features of entities that the job does not measure, by entity: their features are null."""
    from fraud.entities import measured
    from fraud.features import catalogue_of

    catalogue, kept = catalogue_of(settings), measured(settings.job)
    found: dict[str, list[str]] = {}
    for entity in catalogue.entities:
        if entity in kept:
            continue
        names = {feature.name for feature in catalogue.features_of(entity)}
        if rules := sorted(rule.rule.id for rule in policy.rules if names & set(rule.condition.fields)):
            found[entity.name] = rules
    return found


def _bundle(file: Path | None, settings: Settings) -> PolicyBundle:
    from adapters.policy.source import policy_files, read_bundle

    if file is not None:
        return read_bundle(policy_files(str(file), settings.aws))
    return read_bundle(policy_files(settings.policy.path, settings.aws, settings.lists.path))


def _compile(bundle: PolicyBundle, settings: Settings) -> CompiledPolicy:
    from fraud.decision.policy.compiler import compile_policy
    from fraud.decision.rules.fields import fields_of
    from fraud.features import catalogue_of

    return compile_policy(bundle, fields_of(catalogue_of(settings).features), settings.money.base_currency)


def _figures(policy: CompiledPolicy) -> dict[str, Any]:
    return {
        "version": policy.version,
        "rules": [compiled.rule.model_dump(mode="json") for compiled in [*policy.rules, *policy.idle_rules]],
        "thresholds": {"review": policy.thresholds.review, "decline": policy.thresholds.decline},
        "segments": [
            {
                "name": segment.name,
                "when": segment.condition.text,
                "review": segment.thresholds.review,
                "decline": segment.thresholds.decline,
            }
            for segment in policy.segments
        ],
        "shadow_thresholds": {name: limits.model_dump() for name, limits in policy.shadow_thresholds.items()},
        "lists": [
            {
                "name": entities.name,
                "kind": entities.kind,
                "of": entities.of,
                "state": policy.state_of_list(entities.name),
                "entries": entities.size,
            }
            for entities in policy.lists
        ],
    }


def _limit(value: float | None) -> str:
    return "never" if value is None else f"{value:g}"
