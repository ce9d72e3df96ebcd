"""Events survive kills: of the program that sends them, and of those that make things happen."""

from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from adapters.alerts.table import AlertTable
from adapters.archive.archive import open_archive
from adapters.archive.layout import ArchiveKind
from adapters.archive.pins import Pins
from adapters.aws.provision import provision
from adapters.policy.source import policy_files
from fraud.decision.key import subjects_of
from fraud.decision.policy.bundle import files_version
from fraud.settings import Alerts, Settings
from tests.support.emulators import provisioned
from tests.support.event_programs import LIMIT_MINOR, make_things_happen, send_events
from tests.support.policies import write_policy
from tests.support.webhooks import SECRET, Webhooks

_PATIENCE_S = 180.0

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["tests.support.event_programs"])


@pytest.fixture(scope="module")
def emulator() -> Iterator[Settings]:
    with provisioned() as settings:
        yield settings


def located(emulator: Settings, folder: Path, url: str, table: str) -> Path:
    """A settings file with an archive, policy and lists in a folder, and two receivers."""
    (folder / "secret").write_text(SECRET)
    write_policy(folder / "policy.yaml", LIMIT_MINOR)
    given = {
        "aws": {"endpoint_url": emulator.aws.endpoint_url},
        "alerts": {"table": table},
        "archive": {"folder": str(folder / "archive")},
        "policy": {"path": str(folder / "policy.yaml")},
        "model": {"artifact": ""},
        "events": {
            "start": "earliest",
            "poll_ms": 50,
            "receivers": {
                "lines": {"kind": "file", "address": str(folder / "events.jsonl")},
                "hook": {"kind": "webhook", "address": url, "secret": f"file:{folder / 'secret'}"},
            },
        },
    }
    file = folder / "settings.yaml"
    file.write_text(yaml.safe_dump(given))
    return file


def happened(settings: Settings) -> set[str]:
    """Ids of the events of all that happened, by what is kept of it."""
    archive = open_archive(settings.archive, settings.aws)
    ids: set[str] = set()
    for table in archive.tables(ArchiveKind.DECISIONS):
        for subject, outcome in zip(subjects_of(table), table["outcome"].to_pylist(), strict=True):
            if outcome != "approve":
                ids |= {f"decision-{subject.key}", f"alert-{subject.key}-1"}
    for item in AlertTable(settings.alerts, settings.aws).all():
        for place, entry in enumerate(item.get("history", []), 2):
            ids.add(f"alert-{item['alert_id']}-{place}")
            if entry["change"] in ("confirm_fraud", "false_positive", "undo", "reopen"):
                ids.add(f"disposition-{item['alert_id']}-{place}")
    store = policy_files(settings.policy.path, settings.aws).lists
    assert store is not None
    ids |= {f"list-{change.version}" for change in store.changes()}
    pins = Pins(archive, settings.job.query)
    before = None
    for number in pins.numbers():
        pin = pins.read(number)
        assert pin is not None
        version = files_version(pin.policy_version)
        if before not in (None, version):
            ids.add(f"policy-{settings.job.query}-{number}-{version}")
        before = version
    return ids


def run_with_kills(
    emulator: Settings, folder: Path, kills: int, batches: int, seed: int, table: str = Alerts().table
) -> tuple[Counter[str], Counter[str]]:
    """Has things happen under kills of both programs; how often each receiver got each id, once it has them all."""
    rng = random.Random(seed)
    with Webhooks(failing=0.1, seed=seed) as hook:
        file = located(emulator, folder, hook.url, table)
        settings = Settings.model_validate(yaml.safe_load(file.read_text()))
        programs = {make_things_happen: (str(file), batches), send_events: (str(file),)}
        running = {program: _start(program, arguments) for program, arguments in programs.items()}
        for number in range(kills):
            victim = send_events if number % 2 == 0 else make_things_happen
            running[victim].join(rng.uniform(0.1, 0.8))
            running[victim].kill()
            running[victim].join()
            running[victim] = _start(victim, programs[victim])
        running[make_things_happen].join(_PATIENCE_S)
        assert running[make_things_happen].exitcode == 0
        wanted, lines = happened(settings), folder / "events.jsonl"
        deadline = time.monotonic() + _PATIENCE_S
        while not (wanted <= hook.bodies.keys() and wanted <= _ids(lines).keys()) and time.monotonic() < deadline:
            running[send_events].join(0.1)
        running[send_events].terminate()
        running[send_events].join()
        assert running[send_events].exitcode == 0
        assert AlertTable(settings.alerts, settings.aws).changes() == []
        assert all(len(set(bodies)) == 1 for bodies in hook.bodies.values())
        assert {each for bodies in hook.bodies.values() for each in bodies} == {*lines.read_bytes().splitlines()}
        at_hook = Counter({identity: len(bodies) for identity, bodies in hook.bodies.items()})
        assert set(at_hook) == set(_ids(lines)) == wanted
        return at_hook, _ids(lines)


def _start(program: object, arguments: tuple[object, ...]) -> multiprocessing.Process:
    process = FORKED.Process(target=program, args=arguments, daemon=True)  # type: ignore[arg-type]
    process.start()
    return process  # type: ignore[return-value]


def _ids(lines: Path) -> Counter[str]:
    whole = (
        [line for line in lines.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
        if lines.exists()
        else []
    )
    return Counter(json.loads(line)["id"] for line in whole)


def test_three_kills_lose_no_event_and_make_none_up(emulator: Settings, tmp_path: Path) -> None:
    at_hook, _ = run_with_kills(emulator, tmp_path, kills=3, batches=8, seed=11)
    assert len(at_hook) > 8 * 2 * 2  # eight batches of two alerts, each with two events and at least one change


@pytest.mark.long
def test_twenty_kills_lose_no_event_and_make_none_up(emulator: Settings, tmp_path: Path) -> None:
    provision(emulator.model_copy(update={"alerts": Alerts(table="twenty-kills")}))
    at_hook, _ = run_with_kills(emulator, tmp_path, kills=20, batches=40, seed=12, table="twenty-kills")
    assert len(at_hook) > 40 * 2 * 2
