"""The detector that is answered for: what `fraud import-afd` wrote of it, read again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from adapters.files.text_files import read_model, read_text
from adapters.recordings.mapping import load_mapping
from decision_service.afd.events import EventReader
from fraud.decision.rules.fields import Fields
from fraud.documents import parse_json
from fraud.errors import MisconfiguredError
from fraud.migration.convert import Carries, Imported, convert, identifier
from fraud.migration.mapping import NameMapping
from fraud.migration.shapes import DETECTOR, Detector, detector_of

log = structlog.get_logger()

SETTING = "frauddetector.folder"


@dataclass(frozen=True)
class Served:
    """A detector with all that it takes to answer for it.

    Attributes:
        exported: elements of the API's answers as they were exported, by the names of `Detector`'s fields.
        detector: the same, read.
        names: what its names mean here.
        imported: what it was converted into.
        readers: of events, by the name of their type.
    """

    exported: Mapping[str, Any]
    detector: Detector
    names: NameMapping
    imported: Imported
    readers: Mapping[str, EventReader]


def open_detector(folder: Path, base_currency: str, fields: Fields) -> Served:
    """Reads what the importer wrote.

    Args:
        folder: in which it did.
        base_currency: of billing amounts.
        fields: those that rules may use.

    Raises:
        MisconfiguredError: a file is missing or cannot be used.
    """
    file = folder / DETECTOR
    if not file.exists():
        raise MisconfiguredError(SETTING, f"{folder} has no {DETECTOR}: run fraud import-afd EXPORTED --out {folder}")
    exported = parse_json(str(file), read_text(file))
    if not isinstance(exported, dict):
        raise MisconfiguredError(str(file), "is not what fraud import-afd writes")
    detector = detector_of(str(file), exported)
    names = read_model(folder / "mapping.yaml", NameMapping)
    imported = convert(detector, names, fields)
    variables = {variable.name: variable for variable in detector.variables}
    readers = {}
    for event_type in detector.event_types:
        mapping = folder / f"recording-{identifier(event_type.name)}.yaml"
        reader = EventReader(
            event_type, load_mapping(str(mapping)), mapping.name, variables, imported.variables, base_currency
        )
        readers[event_type.name] = reader
        if reader.lacks:
            log.warning(
                "event_type_not_answered",
                event_type=event_type.name,
                card_payments=reader.is_payment,
                lacks=reader.lacks,
                file=str(mapping),
            )
    for finding in imported.findings:
        if finding.carries is Carries.LOST and finding.subject.startswith("rule "):
            log.warning("rule_does_not_carry", rule=finding.subject.removeprefix("rule "), problem=finding.note)
    return Served(exported, detector, names, imported, readers)
