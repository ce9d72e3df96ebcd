"""Puts the sink together: where decisions, alerts, scores and policies come from and go to."""

from __future__ import annotations

from adapters.alerts.receiver import AlertReceiver
from adapters.alerts.table import AlertTable
from adapters.archive.archive import Archive, open_archive
from adapters.archive.pins import Pins
from adapters.policy.source import PolicySource, open_policy, policy_files
from fraud.decision.rules.fields import fields_of
from fraud.features import catalogue_of
from fraud.settings import Settings
from processor.run import Run
from processor.scoring import open_scoring
from processor.sink.commit import PartitionCommitter

_ATTEMPTS = 10
"""Of a call, so that a store which is away for a minute delays the job and does not end it."""


def alert_receivers(settings: Settings, attempts: int = 5) -> list[AlertReceiver]:
    """Who gets the job's alerts, in this order; another receiver is one more line here (docs/extend.md).

    Args:
        settings: where they are.
        attempts: most attempts of a call.
    """
    return [
        AlertTable(settings.alerts, settings.aws, attempts),
    ]


def open_committer(run: Run) -> PartitionCommitter:
    """The committer of a worker, with the stores that the settings name.

    Raises:
        MisconfiguredError: the model or the policy does not fit this program.
    """
    settings = run.settings
    archive = open_archive(settings.archive, settings.aws, _ATTEMPTS)
    return PartitionCommitter(
        run,
        archive,
        alert_receivers(settings, _ATTEMPTS),
        open_scoring(settings),
        open_job_policy(settings, archive),
    )


def open_job_policy(settings: Settings, archive: Archive) -> PolicySource:
    """The job's policy; where its files are at fault, that of the query's last batch.

    Raises:
        MisconfiguredError: the files are at fault, and no batch was begun yet.
    """
    files = policy_files(settings.policy.path, settings.aws, settings.lists.path)
    last = Pins(archive, settings.job.query, files.lists).last_policy
    return open_policy(files, settings.money.base_currency, fields_of(catalogue_of(settings).features), last)
