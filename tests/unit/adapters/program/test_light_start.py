"""A program starts without pandas, and has it all the same where something asks for it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from adapters.program.program import run_program
def program():
    import pyarrow as pa
    pa.array(["a", None])
    print("pandas" in sys.modules)
    print(pa.table({"a": [1, 2]}).to_pandas()["a"].sum(), "pandas" in sys.modules)
run_program(program)
"""


def test_pandas_is_imported_by_what_asks_for_it_and_by_no_array() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (["False", "3 True"], "")
