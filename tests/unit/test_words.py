"""Names and texts use the field's words, so that a reader from elsewhere need not learn ours."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = ("CHANGELOG.md", Path(__file__).relative_to(ROOT).as_posix())
"""Where older names are listed."""

FIELD_WORDS = {
    r"anew": "again, from scratch",
    r"mend(s|ed|ing)?": "fix, correct",
    r"doubled": "duplicated",
    r"stand[-_]?ins?": "emulator",
    r"told|tells?|telling": "report, return, log; `progress` for a callback",
    r"judg(e|ed|es|ing|e?ments?)": "evaluate, label; `Evaluation`, `GateResult`",
    r"school(s|ed|ing)?": "trainer",
    r"(un)?surpris(e|ed|es|ing)": "deviation, unusual",
    r"(?<!dead )(?<!dead_)(?<!dead-)letters? (by|of|that|are|is|was|were)": "dead letters",
    r"time[-_ ]machine": "backtest",
}
"""Words that only this project would use, as regular expressions of a whole word, and what the field says."""


def own_words(text: str) -> list[tuple[int, str, str]]:
    """Line, the word as written, and the field's word for it; parts of a name count as words.

    >>> own_words("the list is built anew")
    [(1, 'anew', 'again, from scratch')]
    >>> own_words("class ArchiveSchool:\\n    def stand_in(self): ...")
    [(1, 'School', 'trainer'), (2, 'stand_in', 'emulator')]
    >>> own_words("amended, intelligent and prejudged")
    []
    """
    found: list[tuple[int, str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        # A word inside a name begins behind `_` or with a capital: `tell_all`, `ArchiveSchool`.
        spelt = re.sub(r"(?<=[a-z])(?=[A-Z])", "\0", line)
        for pattern, word in FIELD_WORDS.items():
            matches = re.finditer(rf"(?<![a-z])({pattern})(?![a-z])", spelt, re.IGNORECASE)
            found.extend((number, match.group(1).replace("\0", ""), word) for match in matches)
    return found


def tracked() -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.js", "*.yaml", "*.yml"], cwd=ROOT, stdout=subprocess.PIPE, check=True
    )
    return [name for name in done.stdout.decode().splitlines() if not name.startswith(ELSEWHERE)]


@pytest.mark.parametrize("name", sorted({name.split("/")[0] for name in tracked()}))
def test_texts_and_names_use_the_words_of_the_field(name: str) -> None:
    files = [file for file in tracked() if file.split("/")[0] == name and (ROOT / file).is_file()]
    faults = [
        f"{file}:{line}: {written!r}, better: {word}"
        for file in files
        for line, written, word in own_words((ROOT / file).read_text(encoding="utf-8"))
    ]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("tell: Callable", "tell"),
        ("self._tell(line)", "tell"),
        ("def test_it_is_told() -> None:", "told"),
        ("const toldTwice = 1", "told"),
        ("Stand-ins for AWS", "Stand-ins"),
        ("class Judgement:", "Judgement"),
    ],
)
def test_a_private_word_is_found_however_it_is_spelt(text: str, word: str) -> None:
    assert [written for _, written, _ in own_words(text)] == [word]


@pytest.mark.parametrize(
    "text", ["recommended", "intelligent", "they stand in a row", "dead letters of a day", "Amend"]
)
def test_other_words_are_left_alone(text: str) -> None:
    assert own_words(text) == []
