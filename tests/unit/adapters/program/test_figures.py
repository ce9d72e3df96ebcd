"""The figures that `--json` asks for are JSON, whatever they are."""

from __future__ import annotations

import json
import math
from pathlib import Path

from adapters.program.program import write_json


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    write_json(file, {"rate": math.nan, "most": [math.inf, 1.5], "by": {"card": -math.inf}, "file": tmp_path})
    wanted = {"rate": None, "most": [None, 1.5], "by": {"card": None}, "file": str(tmp_path)}
    assert json.loads(file.read_text(), parse_constant=lambda name: name) == wanted
