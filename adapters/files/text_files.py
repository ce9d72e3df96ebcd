"""Reads small text and YAML files that a person names on a command line."""

from __future__ import annotations

from pathlib import Path

from fraud.documents import ModelT, read_document
from fraud.errors import MisconfiguredError

_MAX_BYTES = 64 << 20


def read_text(file: Path) -> str:
    """The text of a file; MisconfiguredError where it cannot be read."""
    try:
        with file.open("rb") as opened:
            data = opened.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise MisconfiguredError(str(file), f"has more than {_MAX_BYTES:,} bytes")
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MisconfiguredError(str(file), f"cannot be read: line {line} is not UTF-8; save it as UTF-8") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        said = error.strerror if isinstance(error, OSError) else str(error)
        raise MisconfiguredError(str(file), f"cannot be read: {said}") from None


def read_model(file: Path, model: type[ModelT]) -> ModelT:
    """A YAML file as a checked document; MisconfiguredError names the first fault."""
    return read_document(str(file), read_text(file), model)
