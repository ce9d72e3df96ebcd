"""`fraud doctor --aws` says what a query begins with."""

from __future__ import annotations

from pathlib import Path

from adapters.archive.archive import open_archive
from adapters.archive.layout import checkpoint_key
from embedded.aws_checks import check_history
from fraud.settings import Archive, Aws, Job, Settings
from processor.keyed_state.backfill import Backfill


def test_a_new_query_without_history_will_do_and_is_advised_to_backfill(tmp_path: Path) -> None:
    settings = Settings(archive=Archive(folder=str(tmp_path)), job=Job(query="new"))
    found = check_history(settings)
    assert found.ok, "a deployment without history may start"
    assert found.detail.startswith("query new begins with none")
    assert "fraud state backfill --from QUERY" in found.advice


def test_a_backfilled_query_says_whose_history_it_begins_with(tmp_path: Path) -> None:
    settings = Settings(archive=Archive(folder=str(tmp_path)), job=Job(query="new"))
    Backfill(settings).write(open_archive(settings.archive, Aws()), "one", {"query": "old"})
    found = check_history(settings)
    assert (found.ok, found.detail, found.advice) == (True, "query new begins with the history of old", "")


def test_a_query_that_has_begun_goes_on(tmp_path: Path) -> None:
    settings = Settings(archive=Archive(folder=str(tmp_path)), job=Job(query="old"))
    open_archive(settings.archive, Aws()).put_new(checkpoint_key("old"), b"{}")
    assert check_history(settings).detail == "query old has begun and goes on with what it knows"
