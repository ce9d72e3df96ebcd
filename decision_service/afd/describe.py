"""Calls that describe the detector: what was exported comes back as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from decision_service.afd.detector import Served
from decision_service.afd.errors import invalid, not_found

Answer = dict[str, Any]
_DEFAULT_PAGE, _LARGEST_PAGE = 100, 5_000


class Page(msgspec.Struct, rename="camel", kw_only=True):
    """What all calls that list take."""

    next_token: str | None = None
    max_results: Annotated[int, Meta(ge=1, le=_LARGEST_PAGE)] | None = None


class Named(Page, rename="camel", kw_only=True):
    """A call that takes a name; without it, it lists all."""

    name: str | None = None


class OfDetector(Page, rename="camel", kw_only=True):
    """GetDetectors, DescribeDetector."""

    detector_id: str | None = None


class OfVersion(msgspec.Struct, rename="camel"):
    """GetDetectorVersion."""

    detector_id: str
    detector_version_id: str


class OfRules(Page, rename="camel", kw_only=True):
    """GetRules."""

    detector_id: str
    rule_id: str | None = None
    rule_version: str | None = None


class OfModels(Page, rename="camel", kw_only=True):
    """GetModels, DescribeModelVersions."""

    model_id: str | None = None
    model_type: str | None = None
    model_version_number: str | None = None


class OfModelVersion(msgspec.Struct, rename="camel"):
    """GetModelVersion."""

    model_id: str
    model_type: str
    model_version_number: str


class OfExternalModels(Page, rename="camel", kw_only=True):
    """GetExternalModels."""

    model_endpoint: str | None = None


class Names(msgspec.Struct, rename="camel"):
    """BatchGetVariable."""

    names: Annotated[list[str], Meta(min_length=1, max_length=100)]


def paged(found: Sequence[Any], page: Page, key: str) -> Answer:
    """A page of a list; its token is the place that the next one begins at.

    Raises:
        ApiError: the token is none of ours.
    """
    begin = 0
    if page.next_token:
        if not page.next_token.isdecimal() or int(page.next_token) > len(found):
            raise invalid("nextToken: is none that this call gave")
        begin = int(page.next_token)
    end = begin + (page.max_results or _DEFAULT_PAGE)
    return {key: list(found[begin:end])} | ({"nextToken": str(end)} if end < len(found) else {})


class Descriptions:
    """Answers the calls that describe.

    Args:
        served: the detector.

    Attributes:
        calls: by operation, the type of its request and what answers it.
    """

    def __init__(self, served: Served) -> None:
        self._exported: Mapping[str, Any] = served.exported
        self._version: Mapping[str, Any] = served.exported["version"]
        self._id = served.detector.version.detector_id
        self.calls: dict[str, tuple[type[Any], Callable[[Any], Answer]]] = {
            "GetDetectors": (OfDetector, self._detectors),
            "DescribeDetector": (OfDetector, self._describe_detector),
            "GetDetectorVersion": (OfVersion, self._detector_version),
            "GetRules": (OfRules, self._rules),
            "GetModels": (OfModels, self._models),
            "GetModelVersion": (OfModelVersion, self._model_version),
            "DescribeModelVersions": (OfModels, self._model_versions),
            "GetExternalModels": (OfExternalModels, self._external_models),
            "BatchGetVariable": (Names, self._some_variables),
            "GetVariables": (Named, self._named("variables", "variables")),
            "GetOutcomes": (Named, self._named("outcomes", "outcomes")),
            "GetLabels": (Named, self._named("labels", "labels")),
            "GetEntityTypes": (Named, self._named("entity_types", "entityTypes")),
            "GetEventTypes": (Named, self._named("event_types", "eventTypes")),
        }

    def _named(self, kind: str, key: str) -> Callable[[Named], Answer]:
        def answer(asked: Named) -> Answer:
            found = self._exported.get(kind, [])
            if asked.name is None:
                return paged(found, asked, key)
            return {key: _some([each for each in found if each["name"] == asked.name], f"{key}: {asked.name}")}

        return answer

    def _detectors(self, asked: OfDetector) -> Answer:
        found = self._exported.get("detectors") or [self._detector()]
        if asked.detector_id is not None:
            found = _some([each for each in found if each["detectorId"] == asked.detector_id], asked.detector_id)
        return paged(found, asked, "detectors")

    def _detector(self) -> Answer:
        """The detector, where it was not exported: as its version has it."""
        kept = {name: self._version[name] for name in ("createdTime", "lastUpdatedTime") if name in self._version}
        event_types = self._exported.get("event_types", [])
        of_one = {"eventTypeName": event_types[0]["name"]} if len(event_types) == 1 else {}
        return {"detectorId": self._id} | of_one | kept | self._arn()

    def _arn(self) -> Answer:
        arn = str(self._version.get("arn", "")).replace(":detector-version/", ":detector/").rsplit("/", 1)[0]
        return {"arn": arn} if arn else {}

    def _describe_detector(self, asked: OfDetector) -> Answer:
        self._check_detector(asked.detector_id or "")
        summary = {
            name: self._version[name]
            for name in ("detectorVersionId", "status", "description", "lastUpdatedTime")
            if name in self._version
        }
        return {"detectorId": self._id, "detectorVersionSummaries": [summary]} | self._arn()

    def _detector_version(self, asked: OfVersion) -> Answer:
        self._check_detector(asked.detector_id)
        if asked.detector_version_id != self._version["detectorVersionId"]:
            raise not_found(f"detectorVersionId: version {self._version['detectorVersionId']} was imported")
        return dict(self._version)

    def _check_detector(self, detector_id: str) -> None:
        if detector_id != self._id:
            raise not_found(f"detectorId: {self._id} is the detector that was imported")

    def _rules(self, asked: OfRules) -> Answer:
        self._check_detector(asked.detector_id)
        found = list(self._exported["rules"])
        if asked.rule_id is not None:
            found = _some([rule for rule in found if rule["ruleId"] == asked.rule_id], f"ruleId: {asked.rule_id}")
        if asked.rule_version is not None:
            of_version = [rule for rule in found if rule["ruleVersion"] == asked.rule_version]
            found = _some(of_version, f"ruleVersion: {asked.rule_version}")
        return paged(found, asked, "ruleDetails")

    def _models(self, asked: OfModels) -> Answer:
        found = self._exported.get("models") or [
            {name: model[name] for name in ("modelId", "modelType")} for model in self._version.get("modelVersions", [])
        ]
        return paged(_of_model(found, asked), asked, "models")

    def _model_versions(self, asked: OfModels) -> Answer:
        found = self._exported.get("model_versions") or self._version.get("modelVersions", [])
        return paged(_of_model(found, asked), asked, "modelVersionDetails")

    def _model_version(self, asked: OfModelVersion) -> Answer:
        wanted = OfModels(
            model_id=asked.model_id, model_type=asked.model_type, model_version_number=asked.model_version_number
        )
        (found, *_) = self._model_versions(wanted)["modelVersionDetails"]
        names = (
            "modelId", "modelType", "modelVersionNumber", "trainingDataSource", "trainingDataSchema",
            "externalEventsDetail", "ingestedEventsDetail", "status", "arn",
        )  # fmt: skip
        return {name: found[name] for name in names if name in found}

    def _external_models(self, asked: OfExternalModels) -> Answer:
        found = self._exported.get("external_models", [])
        if asked.model_endpoint is not None:
            named = [model for model in found if model["modelEndpoint"] == asked.model_endpoint]
            found = _some(named, f"modelEndpoint: {asked.model_endpoint}")
        return paged(found, asked, "externalModels")

    def _some_variables(self, asked: Names) -> Answer:
        by_name = {variable["name"]: variable for variable in self._exported["variables"]}
        return {
            "variables": [by_name[name] for name in asked.names if name in by_name],
            "errors": [
                {"name": name, "code": 404, "message": "there is no such variable"}
                for name in asked.names
                if name not in by_name
            ],
        }


def _of_model(found: Sequence[Answer], asked: OfModels) -> Sequence[Answer]:
    wanted = {
        "modelId": asked.model_id, "modelType": asked.model_type, "modelVersionNumber": asked.model_version_number,
    }  # fmt: skip
    chosen = {name: value for name, value in wanted.items() if value is not None}
    kept = [each for each in found if all(each.get(name) == value for name, value in chosen.items())]
    return _some(kept, ", ".join(chosen)) if chosen else kept


def _some(found: list[Any], what: str) -> list[Any]:
    if not found:
        raise not_found(f"{what}: there is no such thing among what was imported")
    return found
