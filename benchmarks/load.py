"""The load of the whole-job benchmarks: generated transactions of cards with a history, and the alerts of a budget.

A new query alerts on a tenth of all transactions, because nobody has habits yet. So the state begins with history, and
the policy has thresholds as `fraud backtest --reviews-per-day` would choose them for some alerts in a thousand.
"""

from __future__ import annotations

import datetime as dt
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import yaml

from adapters.archive.archive import open_archive
from fraud.records import Records
from fraud.records.arrival import with_arrival
from fraud.settings import Settings
from processor.keyed_state.backfill import Backfill
from producer.campaigns.plan import load_plan
from producer.data_generator import Generated, generate, in_batches
from producer.economy import draw_economy

CARDS, MERCHANTS = 20_000, 5_000
HISTORY = 1_500_000
"""Transactions of the history: a good month of these cards."""

THRESHOLDS = {"review": 0.5, "decline": 0.8}

_SEED = 7
_FIRST_DAY = dt.date(2026, 1, 1)
_BATCH = 20_000

PRODUCER = [
    *("--seed", str(_SEED), "--cards", str(CARDS), "--merchants", str(MERCHANTS)),
    *("--start-date", _FIRST_DAY.isoformat()),
]
"""Arguments of `python -m producer.main` for the same stream."""


def stream(batch: int = _BATCH) -> Iterator[Generated]:
    """The endless stream, history first, in batches of about so many transactions."""
    economy = draw_economy(_SEED, CARDS, MERCHANTS)
    first_day = (_FIRST_DAY - dt.date(1970, 1, 1)).days
    return in_batches(generate(economy, load_plan("default"), first_day), batch)


def backfill(settings: Settings, count: int = HISTORY) -> None:
    """Has the query of the settings begin with a history of `count` transactions; its archive is there, its job not."""
    history, folded = Backfill(settings), 0
    for number, part in enumerate(stream()):
        transactions = part.transactions.slice(0, count - folded)
        arrived = with_arrival(transactions, "event_time", number), with_arrival(part.labels, "label_time", number)
        history.fold(Records(*arrived))
        folded += transactions.num_rows
        if folded == count:
            break
    history.write(
        open_archive(settings.archive, settings.aws),
        secrets.token_hex(8),
        {"query": "generated", "transactions": folded},
    )


def with_budget(settings: Settings, folder: Path) -> Settings:
    """The settings with a copy of their policy whose thresholds are `THRESHOLDS`, without segments of its own."""
    given = Path(settings.policy.path)
    policy = yaml.safe_load(given.read_text()) | {"thresholds": THRESHOLDS}
    policy.pop("segments", None)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(given.parent / "rules", folder / "rules")
    (folder / "policy.yaml").write_text(yaml.safe_dump(policy))
    changed = settings.policy.model_copy(update={"path": str(folder.absolute() / "policy.yaml")})
    return settings.model_copy(update={"policy": changed})
