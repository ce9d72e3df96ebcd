"""What the job would have decided about records that were answered in the call: by the same policy, the same model."""

from __future__ import annotations

from functools import lru_cache

import pyarrow as pa

from adapters.archive.archive import Archive
from adapters.archive.policies import stored_policy
from adapters.policy.source import open_policy, policy_files
from fraud.decision.decide import decide
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.record import ScoredBy
from fraud.decision.rules.fields import fields_of
from fraud.decision.scorer import RulesOnly
from fraud.errors import MisconfiguredError
from fraud.features import catalogue_of
from fraud.records.answered import Answered
from fraud.settings import Settings
from processor.scoring import open_model


class Recomputed:
    """Decides stored records again.

    Args:
        settings: name model and policy.
        archive: holds the policies that decided.

    Raises:
        MisconfiguredError: the model or the policy does not fit this program.
    """

    def __init__(self, settings: Settings, archive: Archive) -> None:
        self._archive = archive
        self._model = open_model(settings)
        files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
        self._policies = open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features))
        self._compiled = lru_cache(maxsize=4)(self._compile)

    def outcomes(self, rows: pa.Table, answer: Answered) -> pa.Array | None:
        """Outcomes of stored decisions by the policy and the model of an answer; None where one is not at hand."""
        alone = ScoredBy(answer.scored_by) is ScoredBy.RULES_ONLY
        policy = self._compiled(answer.policy_version)
        if policy is None or not (alone or answer.model_version == self._model.model_version):
            return None
        (batch,) = rows.combine_chunks().to_batches()
        return decide(batch, RulesOnly() if alone else self._model, policy)["outcome"]

    def _compile(self, version: str) -> CompiledPolicy | None:
        if version == self._policies.current.version:
            return self._policies.current
        try:
            return self._policies.compile(stored_policy(self._archive, version, self._policies.lists))
        except MisconfiguredError:
            return None
