"""`fraud import-afd --verify`: recorded answers of the service, compared with the imported rules' own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks.afd_detector import SCORE, events, write_export
from benchmarks.afd_rules import Interpreter
from cli.main import build_app
from fraud.errors import MisconfiguredError
from tests.support.frauddetector import amount_score, imported
from tests.support.records import NOON


@pytest.fixture
def recording(tmp_path: Path) -> list[dict[str, Any]]:
    """Answers as the service would have given them, by an interpreter that shares no code with the importer."""
    write_export(tmp_path / "exported")
    imported(tmp_path / "exported", tmp_path / "imported")
    interpreter = Interpreter(json.loads((tmp_path / "imported" / "detector.json").read_text()))
    lines = []
    for event in events(60, NOON):
        scores = {SCORE: 1000 * amount_score(round(float(event["eventVariables"]["order_price"]) * 100))}
        results = interpreter.results(event["eventVariables"], scores)
        response = {"ruleResults": results, "modelScores": [{"scores": scores}], "ResponseMetadata": {}}
        lines.append({"request": event, "response": response})
    return lines


def verify(folder: Path, lines: list[Any] | None, code: int) -> list[str]:
    file = folder / "recorded.jsonl"
    if lines is not None:
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    mapping = str(folder / "imported" / "mapping.yaml")
    arguments = ["import-afd", str(folder / "exported"), "--out", str(folder / "imported"), "--mapping", mapping]
    result = CliRunner().invoke(build_app(), [*arguments, "--verify", str(file), "--json", str(folder / "found.json")])
    if isinstance(result.exception, MisconfiguredError):
        raise result.exception
    assert result.exit_code == code, result.output
    wanted = ("compared", "only there", "not decided")
    return [line for line in result.output.splitlines() if any(words in line for words in wanted)]


def test_answers_that_agree_are_alike(tmp_path: Path, recording: list[dict[str, Any]]) -> None:
    assert verify(tmp_path, recording, 0) == ["60 answers compared: 60 alike, 0 differ"]


def test_differences_are_said_by_rule(tmp_path: Path, recording: list[dict[str, Any]]) -> None:
    place = next(at for at, line in enumerate(recording) if line["response"]["ruleResults"][0]["ruleId"] == "bad_bin")
    recording[place]["response"]["ruleResults"] = [{"ruleId": "retired", "outcomes": ["allow"]}]
    recording.append({"request": recording[0]["request"] | {"eventTypeName": "sign_up"}, "response": {}})

    said = verify(tmp_path, recording, 1)

    event_id = recording[place]["request"]["eventId"]
    assert said[:3] == [
        "60 answers compared: 59 alike, 1 differ",
        f"rule bad_bin: matched 0 times only there, 1 times only here, first on {event_id}",
        f"rule retired: matched 1 times only there, 0 times only here, first on {event_id}",
    ]
    assert said[3].startswith("1 not decided here: eventTypeName: sign_up is no type of card payments here")
    found = json.loads((tmp_path / "found.json").read_text())["verified"]
    assert (found["differing"], found["only_here"]) == (1, {"bad_bin": 1})


def test_a_line_that_is_no_answer_is_named(tmp_path: Path, recording: list[dict[str, Any]]) -> None:
    with pytest.raises(MisconfiguredError, match=r"recorded.jsonl, line 61: no recorded answer"):
        verify(tmp_path, [*recording, {"request": 5}], 2)
    (tmp_path / "recorded.jsonl").unlink()
    with pytest.raises(MisconfiguredError, match=r"cannot be read"):
        verify(tmp_path, None, 2)
