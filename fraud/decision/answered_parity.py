"""Compares decisions as they were answered in the call with what the job computed for the same records."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from fraud.entities import CARD, TRANSACTION
from fraud.features import Catalogue
from fraud.records import Records
from fraud.records.answered import Answered, answer_of

Floats = npt.NDArray[np.float64]


@dataclass
class AnsweredParity:
    """What a comparison found.

    Attributes:
        answers: decisions that were answered in the call.
        card_values: values of a card and of its transactions compared, null or not, while nothing of it was in flight.
        card_different: those of them that differ in any bit.
        crossed: answers of cards of which an unasked record, a label or another instance's answer had been in flight.
        crossed_different: those of them of which a value of the card differs.
        shared_values: values of shared entities compared, of which at least one side is not null.
        shared_different: those of them that differ.
        verdicts: outcomes compared.
        verdicts_different: those of them that differ.
        not_compared: answers whose features, policy or model this version cannot compare.
        different: values that differ, by name.
    """

    answers: int = 0
    card_values: int = 0
    card_different: int = 0
    crossed: int = 0
    crossed_different: int = 0
    shared_values: int = 0
    shared_different: int = 0
    verdicts: int = 0
    verdicts_different: int = 0
    not_compared: int = 0
    different: Counter[str] = field(default_factory=Counter)

    @property
    def sound(self) -> bool:
        """Whether something was compared, and every value of a card is as it was answered."""
        return self.card_values > 0 and not self.card_different


class Traffic:
    """What came to the streams of each card, and who had seen it.

    Args:
        in_flight_ms: how long before or after an answer's way to the stream something else may have been on its own.
    """

    def __init__(self, in_flight_ms: int) -> None:
        self._in_flight_ms = in_flight_ms
        self._came: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self._crossed: set[str] = set()

    def note(self, records: Records, answered_by: Sequence[str | None]) -> None:
        """Takes up a batch: `card_token` and `arrival_ms` of its transactions and labels.

        Args:
            records: of the batch.
            answered_by: the instance that answered each transaction; None where none did.
        """
        sources: list[tuple[pa.RecordBatch | None, Sequence[str | None]]] = [
            (records.transactions, answered_by),
            (records.labels, [None] * (0 if records.labels is None else records.labels.num_rows)),
        ]
        for part, given in sources:
            if part is not None:
                cards, arrived = part["card_token"].to_pylist(), part["arrival_ms"].to_pylist()
                for card, time_ms, source in zip(cards, arrived, given, strict=True):
                    self._came[card].append((time_ms, source or ""))

    def crosses(self, card: str, instance: str, received_ms: int, arrived_ms: int) -> bool:
        """Whether anything else of a card was in flight when one of its transactions was answered, or has been before.

        What crossed once was folded here and there in another order, so that sums may differ in their last bits for as
        long as the card is remembered. To be asked in the order of the archive.
        """
        since, until = received_ms - self._in_flight_ms, arrived_ms + self._in_flight_ms
        if card not in self._crossed and any(
            since <= time_ms <= until and source != instance for time_ms, source in self._came[card]
        ):
            self._crossed.add(card)
        return card in self._crossed


def compare_answers(
    stored: pa.Table,
    traffic: Traffic,
    decide: Callable[[pa.Table, Answered], pa.Array | None],
    found: AnsweredParity,
    catalogue: Catalogue,
) -> None:
    """Compares the answered decisions among stored ones with what is stored beside them.

    Args:
        stored: decisions of one batch in arrival order, with all columns of the archive.
        traffic: knows the whole archive.
        decide: gives the outcomes of some rows by the policy and the model of an answer; None where they are not at
            hand.
        found: is added to.
        catalogue: of the query.
    """
    rows = stored.filter(stored["answered_by"].is_valid())
    answers = [answer_of(data) for data in rows["raw"].to_pylist()]
    found.answers += len(answers)
    if not answers:
        return
    computed = _stored_values(rows, catalogue)
    comparable = np.array([_is_comparable(answer, catalogue) for answer in answers])
    found.not_compared += int((~comparable).sum())
    cards, arrived = rows["card_token"].to_pylist(), rows["arrival_ms"].to_pylist()
    for place, answer in enumerate(answers):
        crosses = traffic.crosses(cards[place], answer.instance, answer.received_ms, arrived[place])
        if comparable[place]:
            _compare_values(_values_of(answer, catalogue), computed[place], crosses, found, catalogue)
    _compare_outcomes(rows, answers, decide, found)


def _compare_values(
    answered: Floats, computed: Floats, crosses: bool, found: AnsweredParity, catalogue: Catalogue
) -> None:
    of_card = np.array(
        [feature.entity in (CARD, TRANSACTION) for feature in catalogue.features]
        + [entity == CARD for entity in catalogue.entities]
    )
    undefined = np.isnan(answered) & np.isnan(computed)
    differs = (answered.view(np.int64) != computed.view(np.int64)) & ~undefined
    found.different.update(name for name, unequal in zip(_names(catalogue), differs.tolist(), strict=True) if unequal)
    if crosses:
        found.crossed += 1
        found.crossed_different += bool(differs[of_card].any())
    else:
        found.card_values += int(of_card.sum())
        found.card_different += int(differs[of_card].sum())
    found.shared_values += int((~undefined & ~of_card).sum())
    found.shared_different += int((differs & ~of_card).sum())


def _compare_outcomes(
    rows: pa.Table,
    answers: Sequence[Answered],
    decide: Callable[[pa.Table, Answered], pa.Array | None],
    found: AnsweredParity,
) -> None:
    alike: dict[tuple[str, str | None, str], list[int]] = defaultdict(list)
    for place, answer in enumerate(answers):
        alike[answer.policy_version, answer.model_version, answer.scored_by].append(place)
    for places in alike.values():
        outcomes = decide(rows.take(pa.array(places)), answers[places[0]])
        if outcomes is None:
            found.not_compared += len(places)
            continue
        found.verdicts += len(places)
        both = zip(places, outcomes.to_pylist(), strict=True)
        found.verdicts_different += sum(answers[place].outcome != outcome for place, outcome in both)


def _names(catalogue: Catalogue) -> list[str]:
    return [field.name for field in catalogue.columns]


def _is_comparable(answer: Answered, catalogue: Catalogue) -> bool:
    return answer.catalogue == catalogue.hash and len(answer.features or b"") == 8 * len(catalogue.names)


def _values_of(answer: Answered, catalogue: Catalogue) -> Floats:
    exact = [answer.exact.get(entity.name) for entity in catalogue.entities]
    flags = np.array([np.nan if each is None else float(each) for each in exact])
    return np.concatenate([np.frombuffer(answer.features or b"", "<f8"), flags])


def _stored_values(rows: pa.Table, catalogue: Catalogue) -> Floats:
    columns = [rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in _names(catalogue)]
    return np.ascontiguousarray(np.array(columns, np.float64).T)


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """The share that the true one does not exceed with this confidence, from so many events among independent trials.

    It is Garwood's bound of a Poisson mean, and a little too high where the share is not small.

    >>> round(upper_bound(0, 1_000_000) * 1e6, 3)
    2.996
    """
    if trials == 0:
        return 1.0
    counts = np.arange(events + 1)
    factorials = np.cumsum(np.log(np.maximum(counts, 1)))
    low, high = float(events), float(events + 10 + 10 * np.sqrt(events + 1))
    for _ in range(100):
        mean = (low + high) / 2
        at_most = np.exp(counts * np.log(mean) - mean - factorials).sum()
        low, high = (mean, high) if at_most > 1 - confidence else (low, mean)
    return min(1.0, high / trials)
