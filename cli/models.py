"""`fraud models`: the model registry."""

from __future__ import annotations

import datetime as dt
import getpass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adapters.program.program import ConfigOption, JsonOption, SetOption, open_program, write_json
from adapters.program.tables import print_table
from fraud.errors import MisconfiguredError

if TYPE_CHECKING:
    from adapters.model.registry import Entry, ModelRegistry
    from fraud.settings import Settings
    from ml_model.deployment_plan import Deployed
    from ml_model.description import Description
    from ml_model.predict import InProcessScorer
    from ml_model.retraining import ArchiveTrainer, GateResult

app = typer.Typer(help="The model registry, and how a model becomes the champion.", no_args_is_help=True)

_GATE = "retraining's gate"

ArchiveOption = Annotated[
    str | None, typer.Option(help="Folder or s3:// address with decisions/ and labels/; default: the settings'.")
]
CostsOption = Annotated[Path | None, typer.Option(help="Cost sheet (YAML), see docs/backtest.md.")]


@app.command("list")
def list_(config: ConfigOption = None, assignments: SetOption = None, json: JsonOption = None) -> None:
    """Show all versions with their stage and who gave it; --json has every stage that each has had.

    Example: fraud models list --set model.registry=s3://fraud-archive/models
    """
    registry = _open(open_program("models", config, assignments))
    entries = registry.entries()
    precisions = (entry.metrics.get("average_precision") for entry in entries)
    rows = [
        [
            entry.version,
            entry.stage.value,
            f"{entry.staged_at:%Y-%m-%d %H:%M}",
            entry.staged_by or "-",
            f"{entry.registered_at:%Y-%m-%d %H:%M}",
            "-" if precision is None else f"{precision:.3f}",
            entry.note,
        ]
        for entry, precision in zip(entries, precisions, strict=True)
    ]
    print_table(["version", "stage", "since", "by", "registered", "average precision", "note"], rows)
    if not entries:
        typer.echo("no versions; `fraud models register FOLDER` adds one", err=True)
    write_json(json, {"models": [entry.model_dump(mode="json") for entry in entries]})


@app.command()
def register(
    artifact: Annotated[Path, typer.Argument(help="Folder of the artifact, or model.tar.gz of a training job.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Add an artifact to the registry, after checking that it loads here.

    Example: fraud models register config/model/champion
    """
    from adapters.model.registry import unpack
    from ml_model.artifact import load_artifact

    registry = _open(open_program("models", config, assignments))
    with TemporaryDirectory() as unpacked:
        folder = artifact
        if artifact.is_file():
            folder = Path(unpacked)
            unpack(artifact.read_bytes(), folder, str(artifact))
        _, description = load_artifact(folder)
        entry = registry.register(folder, description.version, description.metrics, dt.datetime.now(dt.UTC))
    typer.echo(f"{entry.version} is {entry.stage.value}; `fraud models promote {entry.version}` makes it the champion")


@app.command()
def promote(
    version: Annotated[str, typer.Argument(help="A registered version.")],
    stage: Annotated[str, typer.Option(help="`champion`, `challenger` or `archived`.")] = "champion",
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    by: Annotated[str | None, typer.Option(help="Who, for the record; default: the user of this machine.")] = None,
    ungated: Annotated[
        bool, typer.Option("--ungated", help="Replace the champion by a version that has not beaten it; this is noted.")
    ] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Give a version a stage and archive the version that had it; `fetch champion` then returns this version.

    The first champion needs nothing, nor does one that has been champion before. Any other version has to beat the
    champion: `fraud models challenge VERSION` compares them, and makes it the champion if it does.

    Example: fraud models promote 2026-03-01 --note "the later one regressed"
    """
    from adapters.model.registry import Stage

    if stage not in list(Stage):
        raise MisconfiguredError("--stage", f"{stage} is not one of {', '.join(Stage)}")
    registry = _open(open_program("models", config, assignments))
    champions = [entry.version for entry in registry.entries() if entry.stage is Stage.CHAMPION]
    if stage == Stage.CHAMPION and champions and not registry.find(version).was_champion:
        if not ungated:
            raise MisconfiguredError(
                "VERSION",
                f"{version} has not beaten {champions[0]}: `fraud models challenge {version}` compares them; "
                "--ungated promotes it all the same",
            )
        note = f"without the gate: {note}".rstrip(": ")
    entry = registry.promote(version, Stage(stage), dt.datetime.now(dt.UTC), by or getpass.getuser(), note)
    typer.echo(f"{entry.version} is {entry.stage.value}")


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A version, `champion` or `challenger`.")],
    out: Annotated[Path, typer.Option(help="Folder to write the artifact to.")],
    config: ConfigOption = None,
    assignments: SetOption = None,
) -> None:
    """Write an artifact to a folder, checking that it is the registered one and loads here.

    Example: fraud models fetch champion --out .local/champion
    """
    from ml_model.artifact import artifact_sha256, load_artifact

    registry = _open(open_program("models", config, assignments))
    entry = registry.fetch(name, out)
    load_artifact(out)
    typer.echo(f"{entry.version} ({entry.stage.value}) in {out}; model.artifact_sha256: {artifact_sha256(out)}")


@app.command()
def challenge(
    version: Annotated[str, typer.Argument(help="A registered version.")] = "challenger",
    archive: ArchiveOption = None,
    costs: CostsOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare only.")] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Make a challenger the champion if it wins by a margin on the latest mature labels, else report why not.

    Both models score the same archived transactions, which neither was trained on. Exit code 0: it wins; 1: it does
    not; 2: they cannot be compared.

    \b
    Examples:
      fraud models challenge --dry-run
      fraud models challenge 3f2a9c01d4e7 --set retraining.margin=0.02 --json verdict.json
    """
    settings = open_program("models", config, assignments)
    registry = _open(settings)
    if not _challenge(registry, registry.find(version), _trainer(archive, settings), costs, settings, dry_run, json):
        raise typer.Exit(1)


@app.command()
def retrain(
    archive: ArchiveOption = None,
    costs: CostsOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Train on the archive, register the model as challenger, and compare it with the champion.

    The latest mature days (retraining.evaluation_days) are left out of training and used for the comparison. Exit code
    0 whether it wins or not; 2: there is too little to train on, or no champion.

    Example: fraud models retrain --archive s3://fraud-archive --json verdict.json
    """
    from adapters.model.registry import Stage
    from ml_model.artifact import save_artifact
    from ml_model.train import TrainingChoices

    settings = open_program("models", config, assignments)
    registry = _open(settings)
    registry.find(Stage.CHAMPION.value)
    trainer = _trainer(archive, settings)
    trees, description = trainer.train(typer.echo, TrainingChoices())
    if registry.find(Stage.CHAMPION.value).version == description.version:
        typer.echo(f"the archive teaches nothing new: {description.version} is what the champion is")
        return
    with TemporaryDirectory() as folder:
        save_artifact(Path(folder), trees, description)
        registry.register(Path(folder), description.version, description.metrics, dt.datetime.now(dt.UTC))
    entry = registry.promote(
        description.version, Stage.CHALLENGER, dt.datetime.now(dt.UTC), _GATE, "trained on the archive"
    )
    _challenge(registry, entry, trainer, costs, settings, dry_run=False, json=json)


@app.command()
def recalibrate(
    version: Annotated[str, typer.Argument(help="A registered version, `champion` or `challenger`.")] = "champion",
    archive: ArchiveOption = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Fit a version's probabilities again on the archive and register the result; its trees stay as they are.

    Calibrated is on the days that `retrain` would train on; shown is how much fraud the scores say, of what there was
    in the latest mature days (retraining.evaluation_days), before and after. Nothing is promoted.

    Example: fraud models recalibrate champion --archive s3://fraud-archive
    """
    from ml_model.artifact import TREES, save_artifact
    from ml_model.predict import InProcessScorer

    settings = open_program("models", config, assignments)
    registry, trainer = _open(settings), _trainer(archive, settings)
    with TemporaryDirectory() as folder:
        entry = registry.fetch(version, Path(folder))
        before = InProcessScorer.load(Path(folder))
        trees = (Path(folder) / TREES).read_bytes()
        description = trainer.recalibrate(trees, before.description)
        save_artifact(Path(folder), trees, description)
        after = InProcessScorer.load(Path(folder))
        said = trainer.said_of_seen([before, after])
        registry.register(Path(folder), description.version, description.metrics, dt.datetime.now(dt.UTC))
    bands = [[band, row["frauds"], row["calibration"], said[1][band]["calibration"]] for band, row in said[0].items()]
    shown = [["-" if value is None else f"{value:.3g}" for value in row] for _, *row in bands]
    print_table(
        ["days observed", "frauds", "said of seen", "recalibrated"],
        [[band, *row] for (band, *_), row in zip(bands, shown, strict=True)],
    )
    typer.echo(
        f"{description.version} is registered; `fraud models promote {description.version} --ungated` puts it in place"
    )
    write_json(json, {"version": description.version, "of": entry.version, "before": said[0], "after": said[1]})


@app.command()
def export(
    version: Annotated[str, typer.Argument(help="A registered version, `champion` or `challenger`.")],
    group: Annotated[str, typer.Option(metavar="NAME", help="Model package group: created if it does not exist.")],
    image: Annotated[str | None, typer.Option(metavar="URI", help="deployment.image: the endpoint image.")] = None,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Add a version to SageMaker's model registry, as a package that awaits approval; the same again changes nothing.

    \b
    Example:
      fraud models export champion --group fraud --image 1234.dkr.ecr.eu-central-1.amazonaws.com/fraud-endpoint:v1
    """
    from adapters.aws.clients import aws_client
    from ml_model import model_package

    given = {} if image is None else {"deployment.image": image}
    settings = open_program("models", config, assignments, given)
    model, description = _stored(settings, version)
    request = model_package.package_request(group, model, description, settings.deployment)
    package = model_package.export(aws_client("sagemaker", settings.aws), request)
    typer.echo(f"{model.version} {'is now' if package.created else 'was already'} {package.arn}")
    write_json(json, {"version": model.version, "group": group, **package._asdict()})


@app.command()
def deploy(
    version: Annotated[str, typer.Argument(help="A registered version, `champion` or `challenger`.")],
    endpoint: Annotated[str | None, typer.Option(help="model.endpoint: created if it does not exist.")] = None,
    image: Annotated[str | None, typer.Option(metavar="URI", help="deployment.image: the endpoint image.")] = None,
    role: Annotated[str | None, typer.Option(metavar="ARN", help="deployment.role: what it runs as.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")] = False,
    config: ConfigOption = None,
    assignments: SetOption = None,
    json: JsonOption = None,
) -> None:
    """Put a version on a SageMaker endpoint: model, configuration, endpoint or blue/green update, scaling, capture.

    Safe to repeat: what exists already is left alone, and an interrupted deployment continues. An alarm of
    deployment.alarms rolls an update back. Exit code 0: it serves; 1: it was rolled back or not done in time;
    2: a setting is wrong.

    \b
    Examples:
      fraud models deploy champion --endpoint fraud --image 1234.dkr.ecr.eu-central-1.amazonaws.com/fraud-endpoint:v1 \\
        --role arn:aws:iam::1234:role/fraud-endpoint --dry-run
      fraud models deploy 3f2a9c01d4e7 --set deployment.max_instances=8
    """
    overrides = {"model.endpoint": endpoint, "deployment.image": image, "deployment.role": role}
    given = {key: value for key, value in overrides.items() if value is not None}
    settings = open_program("models", config, assignments, given)
    from adapters.aws.clients import aws_client
    from ml_model.deploy import Deployer
    from ml_model.deployment_plan import plan_deployment

    model, _ = _stored(settings, version)
    plan = plan_deployment(settings.model.endpoint, model, settings.deployment)
    deployer = Deployer(
        aws_client("sagemaker", settings.aws), aws_client("application-autoscaling", settings.aws), typer.echo
    )
    if dry_run:
        changes = [step.what for step in deployer.due(plan)]
        typer.echo("\n".join(f"would {change}" for change in changes) or "nothing to change")
    else:
        changes = deployer.deploy(plan)
        typer.echo(f"{plan.endpoint} serves {model.version}" + ("" if changes else "; nothing to change"))
    write_json(json, {"endpoint": plan.endpoint, "version": model.version, "dry_run": dry_run, "changes": changes})


def _stored(settings: Settings, version: str) -> tuple[Deployed, Description]:
    """A version where SageMaker takes it from, and its description."""
    from adapters.model.registry import PACKED
    from ml_model.artifact import artifact_sha256, load_artifact
    from ml_model.deployment_plan import Deployed

    where = settings.model.registry.rstrip("/")
    if not where.startswith("s3://"):
        raise MisconfiguredError(
            "model.registry", f"{where} is not an s3:// address, from which SageMaker takes models"
        )
    with TemporaryDirectory() as folder:
        entry = _open(settings).fetch(version, Path(folder))
        _, description = load_artifact(Path(folder))
        digest = artifact_sha256(Path(folder))
    return Deployed(entry.version, f"{where}/{entry.version}/{PACKED}", digest), description


def _challenge(
    registry: ModelRegistry,
    entry: Entry,
    trainer: ArchiveTrainer,
    costs: Path | None,
    settings: Settings,
    dry_run: bool,
    json: Path | None,
) -> bool:
    """Compares with the champion, prints the result, and promotes a challenger that wins; returns whether it wins."""
    from adapters.files.text_files import read_model
    from adapters.model.registry import Stage
    from fraud.backtest.costs import CostSheet

    champion = registry.find(Stage.CHAMPION.value)
    if entry.version == champion.version:
        raise MisconfiguredError("VERSION", f"{entry.version} is the champion already")
    sheet = read_model(costs, CostSheet) if costs is not None else CostSheet()
    models = _scorer(registry, champion.version), _scorer(registry, entry.version)
    result = trainer.compare(*models, sheet, settings.money.base_currency)
    _print_result(result, champion.version, entry.version, settings.money.base_currency)
    promoted = result.wins and not dry_run
    if promoted:
        assert result.comparison is not None
        gain = result.comparison.gain.average_precision
        note = f"beat {champion.version} by {gain:.4f} average precision on {result.frauds} frauds"
        registry.promote(entry.version, Stage.CHAMPION, dt.datetime.now(dt.UTC), _GATE, note)
        typer.echo(f"{entry.version} is champion; `fraud models promote {champion.version}` takes that back")
    write_json(json, _verdict(result, champion.version, entry.version, promoted))
    return result.wins


def _verdict(result: GateResult, champion: str, challenger: str, promoted: bool) -> dict[str, Any]:
    comparison = result.comparison
    parts = ("champion", "challenger", "gain", "low", "high")
    return {
        "champion": champion,
        "challenger": challenger,
        "wins": result.wins,
        "promoted": promoted,
        "objections": result.objections,
        "evaluated": {
            "from": result.since,
            "until": result.until,
            "transactions": result.transactions,
            "frauds": result.frauds,
        },
        "figures": comparison and {part: getattr(comparison, part)._asdict() for part in parts},
    }


def _print_result(result: GateResult, champion: str, challenger: str, currency: str) -> None:
    from rich.console import Console
    from rich.table import Column, Table

    from fraud.money import format_money

    console = Console()
    console.print(
        f"evaluated on {result.transactions:,} transactions from {result.since:%Y-%m-%d} to "
        f"{result.until:%Y-%m-%d}, {result.frauds:,} frauds"
    )
    if (found := result.comparison) is not None:
        columns = (champion, challenger, "gain", "95% of draws")
        table = Table(
            Column("", no_wrap=True), *(Column(name, justify="right", no_wrap=True) for name in columns), box=None
        )
        worths = (found.champion, found.challenger, found.gain, found.low, found.high)
        precision = [f"{worth.average_precision:.4f}" for worth in worths]
        saved = [format_money(round(worth.saved_minor_per_day), currency) for worth in worths]
        for title, (*values, low, high) in (("average precision", precision), ("saved a day", saved)):
            table.add_row(title, *values, f"{low} to {high}")
        console.print(table)
    console.print(f"{challenger} wins" if result.wins else f"{champion} stays champion:")
    for objection in result.objections:
        console.print(f"- {objection}", soft_wrap=True)


def _trainer(archive: str | None, settings: Settings) -> ArchiveTrainer:
    from adapters.archive.decision_archive import open_decision_archive
    from fraud.features import catalogue_of
    from ml_model.retraining import ArchiveTrainer

    decisions = open_decision_archive(archive, settings.archive, settings.aws, catalogue_of(settings))
    return ArchiveTrainer(decisions, settings.retraining, settings.job.features)


def _scorer(registry: ModelRegistry, version: str) -> InProcessScorer:
    from ml_model.predict import InProcessScorer

    with TemporaryDirectory() as folder:
        registry.fetch(version, Path(folder))
        return InProcessScorer.load(Path(folder))


def _open(settings: Settings) -> ModelRegistry:
    from adapters.model.registry import open_registry

    return open_registry(settings.model.registry, settings.aws)
