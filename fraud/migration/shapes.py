"""The JSON that the service's API returns, as far as the importer reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fraud.errors import MisconfiguredError

DETECTOR = "detector.json"
"""The file in which the importer leaves what was exported, as it was exported."""


class _Shape(BaseModel):
    """Other keys (ARNs, times) are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class NamedThing(_Shape):
    """An element of `labels`, `outcomes` or `entityTypes`."""

    name: str
    description: str = ""


class EventType(NamedThing):
    """An element of `eventTypes` (`get-event-types`)."""

    variables: tuple[str, ...] = Field(default=(), alias="eventVariables")
    labels: tuple[str, ...] = ()
    entity_types: tuple[str, ...] = Field(default=(), alias="entityTypes")


class Variable(NamedThing):
    """An element of `variables` (`get-variables`)."""

    data_type: Literal["STRING", "INTEGER", "FLOAT", "BOOLEAN", "DATETIME"] = Field(alias="dataType")
    data_source: Literal["EVENT", "MODEL_SCORE", "EXTERNAL_MODEL_SCORE"] = Field(default="EVENT", alias="dataSource")
    default_value: str | None = Field(default=None, alias="defaultValue")
    variable_type: str | None = Field(default=None, alias="variableType")


class RuleDetail(_Shape):
    """An element of `ruleDetails` (`get-rules`)."""

    rule_id: str = Field(alias="ruleId")
    version: str = Field(alias="ruleVersion")
    detector_id: str = Field(default="", alias="detectorId")
    description: str = ""
    expression: str
    outcomes: tuple[str, ...] = ()


class RuleReference(_Shape):
    """An element of `rules` of a detector version."""

    rule_id: str = Field(alias="ruleId")
    version: str = Field(alias="ruleVersion")


class DetectorVersion(_Shape):
    """The answer of `get-detector-version`; `rules` are in the order in which they are tried."""

    detector_id: str = Field(alias="detectorId")
    version: str = Field(alias="detectorVersionId")
    rules: tuple[RuleReference, ...] = ()
    mode: Literal["ALL_MATCHED", "FIRST_MATCHED"] = Field(default="FIRST_MATCHED", alias="ruleExecutionMode")
    status: str = ""


class ListMetadata(NamedThing):
    """An element of `lists` (`get-lists-metadata`)."""

    variable_type: str | None = Field(default=None, alias="variableType")


class Detector(_Shape):
    """Everything that was exported of one detector.

    Attributes:
        lists: elements of each list by its name (`get-list-elements`, one answer a list).
    """

    event_types: tuple[EventType, ...] = ()
    entity_types: tuple[NamedThing, ...] = ()
    variables: tuple[Variable, ...] = ()
    labels: tuple[NamedThing, ...] = ()
    outcomes: tuple[NamedThing, ...] = ()
    rules: tuple[RuleDetail, ...]
    version: DetectorVersion
    lists_metadata: tuple[ListMetadata, ...] = ()
    lists: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def detector_of(place: str, exported: Mapping[str, Any]) -> Detector:
    """What was exported, read.

    Args:
        place: where it came from, for messages.
        exported: elements of the API's answers, by the names of `Detector`'s fields.

    Raises:
        MisconfiguredError: it has another shape.
    """
    try:
        return Detector.model_validate(exported)
    except ValidationError as error:
        fault = error.errors()[0]
        raise MisconfiguredError(place, f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None
