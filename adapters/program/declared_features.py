"""Reads the file of features that a deployment declares (`job.features`)."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from adapters.files.text_files import read_text
from fraud.declared import NOTHING_DECLARED, Declared
from fraud.documents import DocumentError, explain, line_of, parse_yaml

_NOTHING = "declares nothing; write entities or features (docs/windows.md), or leave job.features out"


def read_declared(file: Path) -> Declared:
    """The features and entities of a file, checked as the catalogue's own.

    Raises:
        MisconfiguredError: the file cannot be read or a row does not hold: with its line.
    """
    # Imported here, because only the programs of a deployment that declares something need the catalogue so early.
    from fraud.features.catalogue import DeclarationError, catalogue_with

    name, text = str(file), read_text(file)
    content = parse_yaml(name, text)
    try:
        if content is None:
            raise DeclarationError((), _NOTHING)
        declared = Declared.model_validate(content)
        if declared == NOTHING_DECLARED:
            raise DeclarationError((), _NOTHING)
        catalogue_with(declared)
    except ValidationError as error:
        places = (fault["loc"] for fault in error.errors())
        faults = [f"line {line_of(text, place)}: {said}" for place, said in zip(places, explain(error), strict=True)]
        raise DocumentError(name, faults) from None
    except DeclarationError as error:
        place = ".".join(map(str, error.place))
        at = f"line {line_of(text, error.place)}: {place}: " if place else ""
        raise DocumentError(name, [f"{at}{error}"]) from None
    return declared
