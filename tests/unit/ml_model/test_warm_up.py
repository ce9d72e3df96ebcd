"""What walks trees is compiled ahead, and never again for a model."""

from __future__ import annotations

import subprocess
import sys

LIST = """
from pathlib import Path
from fraud.records import Row
from ml_model import walk
from ml_model.predict import InProcessScorer
from ml_model.warm_up import compile_kernels
from tests.support.model_features import random_features

compile_kernels()
ahead = [len(each.signatures) for each in (walk._margin, walk._contribute)]
model = InProcessScorer.load(Path("config/model/champion"))
features = random_features(3)
model.score(Row(features.to_pylist()[0])), model.explain(Row(features.to_pylist()[0])), model.explain(features)
print(ahead, [len(each.signatures) for each in (walk._margin, walk._contribute)])
"""


def test_a_model_needs_nothing_that_was_not_compiled_ahead() -> None:
    done = subprocess.run([sys.executable, "-c", LIST], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[1, 1] [1, 1]"
