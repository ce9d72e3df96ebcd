"""What a second plan may say, and what it may not."""

from __future__ import annotations

from typing import Any

import pytest

from infrastructure.checks.apply import drift, settings_problems


def planned(kind: str, before: dict[str, Any], after: dict[str, Any], actions: tuple[str, ...] = ("update",)) -> Any:
    change = {"actions": list(actions), "before": before, "after": after, "after_unknown": {}}
    return {"resource_changes": [{"address": f"{kind}.this", "type": kind, "change": change}]}


def test_a_plan_that_changes_nothing_has_no_drift() -> None:
    assert drift(planned("aws_kms_key", {"a": 1}, {"a": 1}, ("no-op",))) == ([], [])


def test_a_change_that_nothing_explains_is_a_problem() -> None:
    problems, known = drift(planned("aws_kms_key", {"enable_key_rotation": False}, {"enable_key_rotation": True}))
    assert problems == ["aws_kms_key.this enable_key_rotation: False to True"]
    assert known == []


def test_a_fault_of_an_emulator_explains_its_attribute_alone() -> None:
    before, after = {"tags_all": {}, "min_capacity": 1}, {"tags_all": {"a": "b"}, "min_capacity": 2}
    problems, known = drift(planned("aws_appautoscaling_target", before, after))
    assert problems == ["aws_appautoscaling_target.this min_capacity: 1 to 2"]
    assert len(known) == 1


def test_a_change_without_a_visible_reason_is_a_problem() -> None:
    assert drift(planned("aws_kms_key", {"a": None}, {"a": {}}))[0] == ["aws_kms_key.this: ['update']"]


def test_settings_that_differ_from_the_charts_are_named() -> None:
    given = {"archive": {"bucket": "other"}, "alerts": {"table": "fraud-dev-alerts"}}
    assert settings_problems(given) == [
        "settings archive.bucket: Terraform gives 'other', the chart's values 'fraud-dev-archive'"
    ]


@pytest.mark.parametrize("given", [{"archive": {"bocket": "x"}}, {"nothing": {}}])
def test_settings_that_no_program_has_are_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"bocket|nothing"):
        settings_problems(given)
