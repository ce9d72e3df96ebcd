"""Starts fraud campaigns of the producer as programs of their own, for the console's lab."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import yaml

from adapters.files.ground_truth import truth_file
from embedded.child import Child
from fraud.settings import Settings
from producer.campaigns import CAMPAIGNS


class CampaignLauncher:
    """A context: on exit every campaign has ended, and what it had taken up is sent.

    Args:
        settings: of the stack; truth, logs and the settings that producers read go to `console.ground_truth`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = Path(settings.console.ground_truth or ".").absolute()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._children: list[Child] = []
        # A child ends with the thread that made it; those of a web server's pool come and go.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="campaigns")

    @property
    def campaigns(self) -> Mapping[str, str]:
        """What there is to start, and what happens in it."""
        return {campaign.name: (campaign.__doc__ or "").strip() for campaign in CAMPAIGNS}

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Starts a producer that leaves its ground truth under this name, with arguments of `producer.main`."""
        return self._thread.submit(self._start, name, arguments).result()

    def _start(self, name: str, arguments: Sequence[str]) -> Child:
        settings_file = self._folder / "lab-settings.yaml"
        settings_file.write_text(yaml.safe_dump(self._settings.model_dump(mode="json")))
        truth = str(truth_file(self._folder, name))
        command = [sys.executable, "-m", "producer.main", *arguments, "--ground-truth", truth]
        child = Child(name, [*command, "--config", str(settings_file)], self._folder)
        self._children.append(child)
        return child

    def __enter__(self) -> CampaignLauncher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            child.interrupt()
        for child in self._children:
            child.stop()
        self._thread.shutdown()
