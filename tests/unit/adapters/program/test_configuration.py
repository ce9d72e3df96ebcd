"""Settings: file < environment < flag, typed, unknown keys refused, one line that names the setting."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from adapters.program.configuration import load_settings, parse_assignments
from fraud.errors import MisconfiguredError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text("job:\n  trigger_ms: 100\n  key_groups: 8\n")
    return path


def test_a_flag_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    environment = {"FRAUD_JOB__TRIGGER_MS": "200", "FRAUD_JOB__KEY_GROUPS": "16", "PATH": "/bin"}
    settings = load_settings(file, environment, {"job.trigger_ms": 300})
    assert (settings.job.trigger_ms, settings.job.key_groups, settings.job.partitions) == (300, 16, 2)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"job.triger_ms": 1}, "job.triger_ms: no such setting"),
        ({"jobs.trigger_ms": 1}, "jobs: no such setting"),
        ({"job.key_groups": 0}, "job.key_groups: Input should be greater than or equal to 1, got 0"),
        ({"job.start": "middle"}, "job.start: Input should be 'earliest' or 'latest', got 'middle'"),
    ],
)
def test_a_bad_setting_is_named(file: Path, overrides: dict[str, object], message: str) -> None:
    with pytest.raises(MisconfiguredError) as caught:
        load_settings(file, {}, overrides)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 2


def test_an_unknown_environment_variable_is_refused(file: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"^job\.triger_ms: no such setting"):
        load_settings(file, {"FRAUD_JOB__TRIGER_MS": "1"})


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MisconfiguredError, match=r"none\.yaml: cannot be read"):
        load_settings(tmp_path / "none.yaml", {})


@pytest.mark.parametrize("content", ["- a list", "job: {", "just words"])
def test_a_file_that_holds_no_sections_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(content)
    with pytest.raises(MisconfiguredError, match=r"odd\.yaml"):
        load_settings(path, {})


def test_settings_are_frozen(file: Path) -> None:
    settings = load_settings(file, {})
    with pytest.raises(ValidationError):
        settings.job.trigger_ms = 1  # type: ignore[misc]


def test_an_assignment_needs_an_equals_sign() -> None:
    with pytest.raises(MisconfiguredError, match=r"section\.key=value"):
        parse_assignments(["job.trigger_ms"])
