"""Whatever is in a file that people edit: it is read, or refused by one error of ours in one line, and nothing else."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.objects.folder import FolderObjects
from adapters.policy.source import PolicyFiles, PolicySource
from adapters.program.configuration import load_settings, parse_assignments
from adapters.program.declared_features import read_declared
from fraud.decision.policy.amend import amend
from fraud.decision.policy.bundle import PolicyBundle
from fraud.decision.policy.compiled import CompiledPolicy, PolicyError
from fraud.decision.policy.compiler import compile_policy
from fraud.decision.policy.edit import EditError, with_draft, with_state
from fraud.decision.record import decision_schema
from fraud.decision.rules.rule import RuleState
from fraud.declared import Declared
from fraud.errors import MisconfiguredError
from fraud.features import SHIPPED
from fraud.features.catalogue import MAX_REACH_MS, catalogue_with
from ml_model.artifact import DESCRIPTION, TREES, load_artifact
from tests.support.decisions import FIELDS, featured, rule
from tests.support.recordings import read_recording

CHAMPION = Path(__file__).parents[2] / "config" / "model" / "champion"

HOSTILE = (
    "2026-02-30", "9" * 5_000, "-" + "9" * 30, "1e999", ".nan", "-.inf", "010", "22:30", "[" * 40, "]" * 40, "{", "}",
    "&a", "*a", "<<: *a", "<<:", "!!set", "!!binary", "!!int", "!!python/name:os.system", "? ", ": ", "- ", "| ", "> ",
    "\t", "\n", "\r", "\x00", "\x1b", "\x85", "\u2028", "\ufeff", "\U0001f4b3", "\u0661", "%YAML 9.9\n---\n",
    "'", '"', '"\\ud800"', "\\", "#", "null", "~", "true", "NO", "5", "''", "{field}", "{amount_minor:money}", "x" * 99,
)  # fmt: skip

NEW = "2026-02-01T00:00:00Z"
POLICY: dict[str, Any] = {
    "thresholds": {"review": 0.5, "decline": 0.9},
    "segments": [{"name": "small", "when": "amount_minor < 1000", "review": 0.8}],
    "lists": [
        {"name": "cards", "kind": "block", "of": "card", "entries": ["card-1", {"value": "card-2", "expires": NEW}]},
        {"name": "long", "kind": "watch", "of": "merchant", "file": "lists/long.csv"},
    ],
    "rules": [rule("here", "amount_minor > 5 AND in_list(card_token, 'cards')", text="{amount_minor:money} at {mcc}")],
    "velocity": [{"id": "pace", "feature": "count_10m", "above": 5, "outcome": "review"}],
    "rule_files": ["rules/more.yaml"],
}  # fmt: skip
FILES = {
    "policy.yaml": yaml.safe_dump(POLICY, sort_keys=False),
    "rules/more.yaml": yaml.safe_dump({"rules": [rule("more", "hour(event_time) BETWEEN 1 AND 5", state="shadow")]}),
    "lists/long.csv": "value,expires,note\nmerchant-1,,\nmerchant-2,2026-02-01T00:00:00Z,closed\n",
}
MAPPING = {
    "columns": {"transaction_id": "id", "event_time": "at", "card_token": "card", "merchant_id": "shop", "amount": "a"},
    "origin": "2026-01-01T00:00:00Z",
    "hashed": ["card_token"],
    "prefixes": {"card_token": "tok_"},
    "values": {"channel": {"*": "pos"}},
    "constants": {"customer_id": "c", "bin": "411111", "issuer_country": "DE", "mcc": "5411", "merchant_country": "DE",
                  "currency": "EUR", "channel": "pos", "entry_mode": "chip"},
    "label": {"column": "fraud", "delay_days": 3},
}  # fmt: skip
BATCH = featured({}, {"count_10m": 7.0, "amount_minor": 10**12}, {"count_10m": math.nan, "merchant_id": "merchant-2"})

odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(HOSTILE),
    st.builds(list),
    st.builds(dict),
    st.builds(lambda: [[]]),
    st.builds(lambda: {"a": None}),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=23))])),
    st.binary(max_size=5),
)


@st.composite
def spoilt_texts(draw: st.DrawFn, text: str) -> str:
    """A text with pieces cut out, duplicated and put in."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 60)))
        put = draw(st.one_of(st.sampled_from(HOSTILE), st.text(max_size=10), st.just(text[start:end] * 2)))
        text = text[:start] + put + text[end:]
    return text


@st.composite
def spoilt_documents(draw: st.DrawFn, document: Any) -> str:
    """A document with one to three of its values replaced by such as people do not write."""
    changed = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 3))):
        within, key = draw(st.sampled_from(list(_places(changed))))
        within[key] = draw(odd_values)
    return yaml.safe_dump(changed, sort_keys=False, allow_unicode=True)


def _places(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(items):
        yield value, key
        yield from _places(item)


@st.composite
def spoilt_policies(draw: st.DrawFn) -> dict[str, str]:
    """The files of a policy, one of them spoilt."""
    name = draw(st.sampled_from(sorted(FILES)))
    if name == "policy.yaml" and draw(st.booleans()):
        return FILES | {name: draw(spoilt_documents(POLICY))}
    return FILES | {name: draw(spoilt_texts(FILES[name]))}


def compiled(bundle: PolicyBundle) -> CompiledPolicy:
    return compile_policy(bundle, FIELDS)


def read_or_refused(read: Callable[[], object]) -> bool:
    """Reads; whether it was read. A refusal is one line."""
    try:
        read()
    except MisconfiguredError as error:
        refusal = str(error)
    else:
        return True
    assert 0 < len(refusal) < 1_000
    return False


bounded = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, str]], PolicyFiles]:
    def put(files: dict[str, str]) -> PolicyFiles:
        shutil.rmtree(tmp_path)
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode(errors="surrogatepass"))
        return PolicyFiles(FolderObjects(tmp_path), "policy.yaml")

    return put


@bounded
@given(spoilt=spoilt_policies())
def test_a_running_job_keeps_its_policy_or_takes_one_that_decides(
    folder: Callable[[dict[str, str]], PolicyFiles], spoilt: dict[str, str]
) -> None:
    source = PolicySource(folder(FILES), compiled)
    good = source.current.version
    folder(spoilt)
    with structlog.testing.capture_logs() as logs:
        current = source.refresh()
    assert (current.version == good) == (len(logs) == 0 or logs[0]["log_level"] == "error")
    findings = current.find(BATCH)
    for row, compiled_rule in zip(findings.fired, current.rules, strict=True):
        for values, fired in zip(BATCH.to_pylist(), row, strict=True):
            assert not fired or compiled_rule.text.fill(values) is not None


@bounded
@given(spoilt=spoilt_policies())
def test_a_start_stops_in_one_line_or_goes_on_with_the_last_policy(
    folder: Callable[[dict[str, str]], PolicyFiles], spoilt: dict[str, str]
) -> None:
    files = folder(spoilt)
    if not read_or_refused(lambda: PolicySource(files, compiled)):
        with structlog.testing.capture_logs() as logs:
            source = PolicySource(files, compiled, lambda: PolicyBundle(FILES))
        assert source.current.version == PolicyBundle(FILES).version
        assert [entry["log_level"] for entry in logs] == ["error"]


@bounded
@given(text=st.one_of(spoilt_texts(FILES["rules/more.yaml"]), spoilt_documents({"rules": POLICY["rules"]})))
def test_the_console_and_a_backtest_refuse_a_draft_by_their_own_errors(text: str) -> None:
    bundle = PolicyBundle(FILES)
    for change in (
        lambda: compiled(with_draft(bundle, text)),
        lambda: compiled(amend(bundle, text)),
        lambda: with_state(PolicyBundle(FILES | {"rules/more.yaml": text}), "more", RuleState.LIVE),
    ):
        with contextlib.suppress(EditError, PolicyError):
            change()


@bounded
@given(text=st.one_of(spoilt_texts(yaml.safe_dump(MAPPING)), spoilt_documents(MAPPING)))
def test_a_mapping_reads_its_recording_or_is_refused(tmp_path: Path, text: str) -> None:
    mapping, recording = tmp_path / "mine.yaml", tmp_path / "mine.csv"
    mapping.write_bytes(text.encode(errors="surrogatepass"))
    recording.write_text("id,at,card,shop,a,fraud\nt1,5,4111,s1,10.50,0\nt2,6,4112,s2,0.99,1\n")
    read_or_refused(lambda: read_recording(recording, mapping))


SETTINGS = {
    "job": {"trigger_ms": 200, "query": "fraud", "entities": ["card", "merchant"]},
    "policy": {"path": "policy.yaml"},
    "archive": {"tags": {"team": "fraud"}},
    "endpoint": {"budget_ms": 100, "breaker_pause_s": 1.5},
}


@bounded
@given(
    text=st.one_of(spoilt_texts(yaml.safe_dump(SETTINGS)), spoilt_documents(SETTINGS)),
    variable=st.one_of(st.sampled_from(HOSTILE), st.text(max_size=10)),
    assignment=st.one_of(st.sampled_from(HOSTILE), st.text(max_size=10)),
)
def test_settings_are_read_or_refused(tmp_path: Path, text: str, variable: str, assignment: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_bytes(text.encode(errors="surrogatepass"))
    environment = {"FRAUD_JOB__QUERY": variable, f"FRAUD_{assignment[:20]}": "1"}
    read_or_refused(lambda: load_settings(file, {}))
    read_or_refused(lambda: load_settings(None, environment))
    read_or_refused(lambda: parse_assignments([f"job.query={assignment}", assignment]))


DECLARED = {
    "entities": [
        {"name": "customer", "columns": ["customer_id"], "label": "customer", "velocity": {"windows": "1h 24h"}},
        {"name": "card_ip", "columns": ["card_token", "ip_address"], "label": "card here", "other": "merchant_id",
         "others": "merchants", "events": 64},
    ],
    "features": [
        {"entity": "card_ip", "name": "failures", "aggregate": "flagged", "flag": "declined", "windows": "10m 1h"},
        {"entity": "card", "name": "sum", "aggregate": "sum", "windows": "10m"},
        {"entity": "card", "name": "pace", "aggregate": "decayed count", "window": "12h", "unit": "payments"},
        {"entity": "merchant", "name": "bad", "aggregate": "flagged", "flag": "fraud", "windows": "7d", "delay": "7d"},
    ],
}  # fmt: skip
WORDS = (
    "card", "merchant", "customer", "exact", "rules", "fired", "observed_days", "count", "distinct", "unusual", "1h",
    "1h 1h", "0h", "3650d", "9999999999d", "bin", "transaction_id", "sum_10m", "device", "other", True, 16,
)  # fmt: skip
"""Of which other files than this one could be made, that hold or nearly hold."""


@st.composite
def other_declarations(draw: st.DrawFn) -> str:
    """The file with a few of its words exchanged for others of the language, or rows given twice."""
    changed = json.loads(json.dumps(DECLARED))
    for _ in range(draw(st.integers(1, 4))):
        within, key = draw(st.sampled_from(list(_places(changed))))
        within[key] = draw(st.sampled_from(WORDS))
        rows = draw(st.sampled_from([changed.get("entities"), changed.get("features"), None]))
        if isinstance(rows, list) and rows:
            rows.append(draw(st.sampled_from(rows)))
    return yaml.safe_dump(changed, sort_keys=False)


@settings(bounded, max_examples=150)
@given(text=st.one_of(spoilt_texts(yaml.safe_dump(DECLARED)), spoilt_documents(DECLARED), other_declarations()))
def test_declared_features_have_columns_of_their_own_or_are_refused_in_a_line_with_the_file(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "features.yaml"
    file.write_bytes(text.encode(errors="surrogatepass"))
    declared: Declared | MisconfiguredError
    try:
        declared = read_declared(file)
    except MisconfiguredError as error:
        declared = error
    if isinstance(declared, MisconfiguredError):
        refusal = str(declared)
        assert refusal.startswith(f"{file}: ")
        assert refusal.isprintable()
        assert len(refusal) < 1_000
        return
    catalogue = catalogue_with(declared)
    names = decision_schema(catalogue.columns).names
    assert len(names) == len(set(names)) > len(decision_schema(SHIPPED.columns).names)
    assert all(0 <= feature.window_ms + feature.delay_ms <= MAX_REACH_MS for feature in catalogue.features)


@settings(bounded, max_examples=60)
@given(
    name=st.sampled_from([DESCRIPTION, TREES]),
    place=st.integers(0, 10**9),
    cut=st.integers(0, 20),
    put=st.one_of(st.binary(max_size=20), st.sampled_from(HOSTILE).map(lambda text: text.encode())),
)
def test_a_model_that_was_changed_is_refused(tmp_path: Path, name: str, place: int, cut: int, put: bytes) -> None:
    for file in (DESCRIPTION, TREES):
        shutil.copy(CHAMPION / file, tmp_path / file)
    data = (tmp_path / name).read_bytes()
    start = place % len(data)
    (tmp_path / name).write_bytes(data[:start] + put + data[start + cut :])
    same = data[start : start + cut] == put
    assert read_or_refused(lambda: load_artifact(tmp_path)) >= same
