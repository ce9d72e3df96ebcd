"""`fraud drift` over an archive, as an operator or a CronJob runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import build_app
from fraud.errors import MisconfiguredError, RetryableError
from fraud.features import FEATURE_NAMES
from tests.support.model_archives import write_model_archive
from tests.support.servers import LoopbackServer


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archives")
    write_model_archive(folder / "steady", days=40)
    write_model_archive(folder / "shifted", days=40, shifted_from_day=33)
    return folder


class Gateway(LoopbackServer):
    """Keeps what is pushed to it."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.pushed: list[tuple[str, str]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Gateway

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.pushed.append((self.path, body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Not to the test's output."""


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    server = Gateway()
    server.start()
    yield server
    server.stop()


def drift(*arguments: str, code: int) -> str:
    result = CliRunner().invoke(build_app(), ["drift", *arguments, "--set", "log.level=error"])
    if isinstance(result.exception, (MisconfiguredError, RetryableError)):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_steady_transactions_end_with_0(archives: Path, tmp_path: Path) -> None:
    file = tmp_path / "drift.json"
    output = drift("--archive", str(archives / "steady"), "--reference-days", "28", "--json", str(file), code=0)
    assert output.endswith("shifted: nothing\n")
    figures = json.loads(file.read_text())
    assert figures["shifted"] == []
    assert figures["reference"]["transactions"] == pytest.approx(28 * 200, abs=2)
    assert figures["live"]["transactions"] == pytest.approx(7 * 200, abs=2)
    assert {shift["name"] for shift in figures["shifts"]} == {*FEATURE_NAMES, "score"}


def test_a_shift_is_named_and_ends_with_1(archives: Path) -> None:
    output = drift("--archive", str(archives / "shifted"), "--reference-days", "28", code=1)
    assert output.splitlines()[-1].startswith("shifted: ")
    assert "merchant_count_24h" in output.splitlines()[-1]


def test_figures_go_to_prometheus(archives: Path, gateway: Gateway) -> None:
    where = ["--archive", str(archives / "shifted"), "--reference-days", "28"]
    drift(*where, "--set", f"drift.pushgateway={gateway.url}", code=1)
    ((path, body),) = gateway.pushed
    assert path == "/metrics/job/fraud-drift"
    values = dict(line.rsplit(" ", 1) for line in body.splitlines() if not line.startswith("#"))
    assert float(values['fraud_drift_stability_index{what="merchant_count_24h"}']) > 0.25
    assert float(values['fraud_drift_usual_index{what="merchant_count_24h"}']) < 0.25
    assert float(values['fraud_drift_alert_ratio{window="live"}']) == pytest.approx(0.02, abs=0.01)


def test_a_gateway_that_is_gone_is_named(archives: Path) -> None:
    with pytest.raises(RetryableError, match=r"metrics not pushed to http://127\.0\.0\.1:9: "):
        drift("--archive", str(archives / "steady"), "--reference-days", "28",
              "--set", "drift.pushgateway=http://127.0.0.1:9", code=1)  # fmt: skip


def test_without_decisions_of_the_training_window_the_setting_is_named(archives: Path, tmp_path: Path) -> None:
    write_model_archive(tmp_path / "young", days=5)
    with pytest.raises(MisconfiguredError, match=r"drift\.reference_days: no decisions archived from .* was trained"):
        drift("--archive", str(tmp_path / "young"), code=2)
