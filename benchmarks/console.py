"""How fast the console answers with many alerts and a large archive: its real server, table and index, over loopback;
how soon its pages are of use in a browser, and what analysts who work at once wait for.

The index is filled with synthetic payments straight away, as the follower would do object by object; it stays in its
folder for the next run. Alerts are put into the emulator's table, or with `--on-disk` into a double of it on disk,
which keeps them for the next run and may have many closed ones beside the open ones. Below the routes stands what the
table takes for the reads that they make.

Run: python -m benchmarks.console --json console.json
"""

from __future__ import annotations

import datetime as dt
import itertools
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import httpx2
import numpy as np
import pyarrow as pa
import typer
from playwright.sync_api import Browser

from adapters.alerts.alert import Item, alert_item, shard_of
from adapters.alerts.table import AlertTable
from adapters.archive.layout import ArchiveKind
from adapters.archive.payment_index import Name, PaymentIndex
from adapters.aws.provision import provision
from adapters.program.log import configure_logging
from adapters.program.program import JsonOption, run_program, write_json
from benchmarks.analysts import Work, faults, work
from benchmarks.machine import describe_machine
from cli.console import overview_of
from console.access import Access
from console.compose import compose, open_ports
from console.services.queue import LISTED
from console.users import Role, UserFile, add_user
from embedded.emulator import start_emulator
from fraud.settings import Aws, Console, Settings
from tests.support.browsers import launched
from tests.support.records import KEPT_DAYS
from tests.support.servers import serving_app

_FOLDER = Path(".local/benchmark-console")
_CARDS, _MERCHANTS, _DEVICES = 50_000, 5_000, 40_000
_OBJECT_ROWS = 20_000
_DAYS = 30
_ALERT_SHARE = 0.02
_PUT_AT_A_TIME = 2_000
_LOADS = 20


def payments(rows: int, seed: int, start_ms: int) -> pa.Table:
    """Decisions as the index reads them; a few merchants take many, a fiftieth are alerts."""
    rng = np.random.default_rng(seed)

    def names(prefix: str, numbers: Any) -> pa.Array:
        return pa.array([f"{prefix}{number:09d}" for number in numbers.tolist()])

    amounts = rng.lognormal(8, 1.2, rows).astype(np.int64)
    alert = rng.random(rows) < _ALERT_SHARE
    times = start_ms + np.sort(rng.integers(0, 86_400_000 * _DAYS, rows))
    return pa.table(
        {
            "transaction_id": names(f"t-{seed}-", np.arange(rows)),
            "card_token": names("tok_", cards := rng.integers(0, _CARDS, rows)),
            "card_last_four": pa.array([f"{number % 10_000:04d}" for number in cards.tolist()]),
            "event_time": pa.array(times).cast(pa.timestamp("ms", "UTC")),
            "customer_id": names("c-", rng.integers(0, _CARDS, rows)),
            "merchant_id": names("m-", np.minimum(rng.zipf(1.3, rows), _MERCHANTS)),
            "device_id": names("d-", rng.integers(0, _DEVICES, rows)),
            "ip_address": names("2001:db8::", rng.integers(0, _DEVICES, rows)),
            "currency": pa.repeat("EUR", rows),
            "mcc": pa.array(np.array(["5411", "5812", "5999"])[rng.integers(0, 3, rows)]),
            "merchant_country": pa.array(np.array(["DE", "FR", "NL", "US"])[rng.integers(0, 4, rows)]),
            "channel": pa.array(np.array(["pos", "ecommerce", "atm"])[rng.integers(0, 3, rows)]),
            "outcome": pa.array(np.where(alert, "review", "approve")),
            "authorisation_result": pa.repeat("approved", rows),
            "amount_minor": pa.array(amounts),
            "billing_amount_minor": pa.array(amounts),
            "score": pa.array(rng.beta(0.3, 12, rows)),
            "merchant_lat": pa.array(rng.uniform(40, 60, rows)),
            "merchant_lon": pa.array(rng.uniform(-5, 20, rows)),
            "home_lat": pa.array(rng.uniform(40, 60, rows)),
            "home_lon": pa.array(rng.uniform(-5, 20, rows)),
        }
    )


def fill_index(folder: Path, rows: int, start: dt.datetime) -> tuple[PaymentIndex, float]:
    """The index with at least so many payments, and how many a second it took over; 0 where they were there."""
    index = PaymentIndex(folder)
    held = index.held().payments
    begun = time.perf_counter()
    for number in range(held // _OBJECT_ROWS, rows // _OBJECT_ROWS):
        key = ArchiveKind.DECISIONS.key("benchmark", number, 0, int(start.timestamp() * 1000))
        index.add(key, payments(_OBJECT_ROWS, number, int(start.timestamp() * 1000)))
    added = index.held().payments - held
    return index, added / (time.perf_counter() - begun) if added else 0.0


def alerts(start: dt.datetime) -> Iterator[Item]:
    """Alerts on some of the payments, whose items are as large as the job's."""
    for number in itertools.count(1):
        table = payments(_OBJECT_ROWS, number - 1, int(start.timestamp() * 1000))
        for row in table.filter(pa.compute.equal(table["outcome"], "review")).to_pylist():
            decision = row | {
                "sent_at": row["event_time"],
                "decided_at": row["event_time"],
                "severity": int(row["score"] * 1000) % 100,
                "scored_by": "in_process",
                "model_version": "m1",
                "policy_version": "p1",
                "rules": ["amount-spike", "new-country"][: 1 + number % 2],
                "reason_codes": ["AMOUNT", "COUNTRY"],
                "reasons": [
                    "the amount is 12.4 times the mean of this card in 30 days",
                    "first payment in this country",
                ],
            }
            features = {f"card_feature_{place}": float(place) for place in range(6)}
            yield alert_item(decision, features, KEPT_DAYS)


def closed(item: Item) -> Item:
    """The alert as it stands once an analyst has closed it."""
    return item | {"status": "false_positive", "status_shard": f"false_positive#{shard_of(item['alert_id'])}"}


def put(table: AlertTable, items: Iterator[Item], count: int) -> None:
    """Puts alerts, and says how far it is."""
    for done in range(0, count, _PUT_AT_A_TIME):
        table.put_new(list(itertools.islice(items, min(_PUT_AT_A_TIME, count - done))))
        typer.echo(f"{min(count, done + _PUT_AT_A_TIME):,} of {count:,} alerts put", err=True)


@contextmanager
def table_on_disk(name: str, file: Path) -> Iterator[str]:
    """The double of DynamoDB on disk in a process of its own; gives the address."""
    command = [sys.executable, "-m", "tests.support.dynamodb_server", name, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def measure(call: Callable[[int], object], times: int) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    taken = []
    for number in range(times):
        begun = time.perf_counter()
        call(number)
        taken.append((time.perf_counter() - begun) * 1000)
    return percentiles(taken)


def percentiles(taken: Sequence[float]) -> dict[str, float]:
    """Median and 95th percentile of milliseconds."""
    return {"p50_ms": round(float(np.percentile(taken, 50)), 1), "p95_ms": round(float(np.percentile(taken, 95)), 1)}


def pages_usable(browser: Browser, address: str, password: str, key: str, times: int) -> dict[str, dict[str, float]]:
    """How long a browser takes from asking for a page until it shows what people work with."""
    shows = {
        "page: queue": ("/queue", ".page-queue tbody tr"),
        "page: case": (f"/case/{key}", ".page-case .reasons li"),
    }
    with browser.new_context(base_url=address) as context:
        context.request.post("/api/session", data={"name": "ann", "password": password})
        page = context.new_page()

        def load(path: str, shown: str, _: int) -> None:
            page.goto(path)
            page.locator(shown).first.wait_for()

        return {name: measure(partial(load, *way), times) for name, way in shows.items()}


@dataclass(frozen=True)
class Team:
    """Who works at once: how many, how long each thinks before a step, and for how long."""

    analysts: int
    think_s: float
    work_s: float


@dataclass(frozen=True)
class Held:
    """What there is: open and closed alerts, whether their table is on disk, and payments."""

    opened: int
    closed: int
    on_disk: bool
    payments: int


def run(held: Held, times: int, browser: Browser, team: Team) -> dict[str, Any]:
    """Fills everything, measures every route, and lets a team work."""
    count = held.opened
    today = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = today - dt.timedelta(days=_DAYS)
    index, rate = fill_index(_FOLDER, held.payments, start)
    folder = Path(tempfile.mkdtemp())
    emulator, url = start_emulator(folder)
    beside = ExitStack()
    try:
        settings = Settings(
            aws=Aws(endpoint_url=url), console=Console(folder=str(_FOLDER), store=str(_FOLDER / "store"))
        )
        provision(settings)
        aws = settings.aws
        if held.on_disk:
            name = f"alerts-{start:%Y%m%d}-{count}-{held.closed}"
            aws = Aws(endpoint_url=beside.enter_context(table_on_disk(settings.alerts.table, _FOLDER / f"{name}.db")))
        table = AlertTable(settings.alerts, aws)
        begun = time.perf_counter()
        generated = alerts(start)
        items = list(itertools.islice(generated, count))
        if table.get(items[-1]["alert_id"]) is None:
            put(table, map(closed, itertools.islice(generated, held.closed)), held.closed)
            put(table, iter(items), count)
        put_s = time.perf_counter() - begun
        names = ["ann", *(f"analyst-{number}" for number in range(team.analysts))]
        passwords = {name: add_user(folder / "users.json", name, Role.ANALYST) for name in names}
        password = passwords.pop("ann")
        access = Access(UserFile(folder / "users.json"), time.time)
        ports = replace(open_ports(settings, overview_of(settings), lambda _: None), alerts=table)
        app = compose(settings, ports, access)
        begun = time.perf_counter()
        with serving_app(app) as address, httpx2.Client(base_url=address, timeout=60) as client:
            session = client.post("/api/session", json={"name": "ann", "password": password}).raise_for_status().json()
            client.headers["x-csrf-token"] = session["csrf"]

            def get(path: str, **query: Any) -> Any:
                answer = client.get(f"/api{path}", params=query)
                answer.raise_for_status()
                return answer.json()

            def find(text: str) -> Any:
                return client.post("/api/find", json={"text": text}).raise_for_status().json()

            while not (page := get("/alerts"))["complete"]:
                time.sleep(0.5)
            loaded_s = time.perf_counter() - begun
            assert page["matching"] == count, f"{page['matching']} alerts in the queue"
            deep = get("/alerts", order="riskiest", limit=100)
            for _ in range(min(20, count // 100 - 2)):
                deep = get("/alerts", order="riskiest", limit=100, cursor=deep["cursor"])
            some = [items[number]["alert_id"] for number in np.random.default_rng(1).integers(0, count, times)]
            keys = [item["alert_id"] for item in items[:50]]
            token = {item["alert_id"]: item["card_token"] for item in items}
            cards = [Name("card", token[key]).key for key in some]
            routes = {
                "queue, newest": lambda _: get("/alerts"),
                "queue, riskiest": lambda _: get("/alerts", order="riskiest"),
                "queue by case": lambda _: get("/alerts/cases"),
                "queue, 20 pages down": lambda _: get("/alerts", order="riskiest", cursor=deep["cursor"]),
                "queue, filtered": lambda _: get(
                    "/alerts", order="riskiest", country="US", channel="atm", rule="new-country", min_minor=5_000
                ),
                "facets": lambda _: get("/alerts/facets"),
                "case": lambda n: get("/cases/one", key=some[n]),
                "card's history": lambda n: get("/cases/card", key=some[n]),
                "merchant": lambda n: get("/cases/merchant", key=some[n]),
                "linked cases": lambda n: get("/cases/linked", key=some[n]),
                "search": lambda n: find(f"t-{n % 40}-{n * 37 % _OBJECT_ROWS:09d}"),
                "search, 6 characters": lambda n: find(f"tok_{n % 90 + 10:02d}"),
                "card page": lambda n: get("/find/about", kind="card", key=cards[n]),
            }
            figures = {name: measure(call, times) for name, call in routes.items()}
            figures |= pages_usable(browser, address, password, some[0], _LOADS)
            alone = {
                "table: 50 alerts by key": measure(lambda _: table.get_many(keys, LISTED), times),
                "table: one alert": measure(lambda n: table.get(keys[n % 50]), times),
                "table: alerts of a card": measure(lambda n: table.of_card(token[some[n]], 200), times),
                "index: payments of a card": measure(lambda n: index.of_card(token[some[n]], 10**15, 200), times),
            }
            done = work(address, passwords, team.think_s, team.work_s) if passwords else Work()
            wrong = faults(done.accepted, lambda key: get("/alerts/one", key=key))
    finally:
        beside.close()
        emulator.stop()
    return {
        "machine": describe_machine(("fastapi", "uvicorn", "pyarrow")),
        "alerts": count,
        "alerts_closed": held.closed,
        "table_on_disk": held.on_disk,
        "payments": index.held().payments,
        "index_payments_per_s": round(rate),
        "alerts_put_per_s": round((count + held.closed) / put_s),
        "queue_loaded_s": round(loaded_s, 1),
        "routes": figures,
        "alone": alone,
        "at work": {f"at work: {what}": percentiles(taken) for what, taken in done.taken_ms.items()},
        "changes_accepted": len(done.accepted),
        "changes_refused": done.refused,
        "changes_lost_or_crossed": wrong,
        "memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def command(
    count: Annotated[int, typer.Option("--alerts", min=1_000, help="Open alerts.")] = 100_000,
    closed_count: Annotated[
        int, typer.Option("--closed", min=0, help="Closed alerts in the table beside them; with --on-disk.")
    ] = 0,
    on_disk: Annotated[bool, typer.Option("--on-disk", help="Keep alerts in a double of the table on disk.")] = False,
    rows: Annotated[int, typer.Option("--payments", min=0, help="Payments in the index.")] = 5_000_000,
    times: Annotated[int, typer.Option(min=20, help="Calls of each route.")] = 200,
    analysts: Annotated[int, typer.Option(min=0, help="How many then work at once.")] = 20,
    think_s: Annotated[float, typer.Option(min=0, help="Mean time that each thinks before a step.")] = 5.0,
    work_s: Annotated[float, typer.Option(min=1, help="How long they work.")] = 120.0,
    json: JsonOption = None,
) -> None:
    """Measure the console's answers with many alerts and a large archive, and to analysts who work at once."""
    if rows * _ALERT_SHARE < count * 1.1:
        raise typer.BadParameter(f"{count} alerts need at least {count * 1.1 / _ALERT_SHARE:.0f} payments")
    configure_logging(Settings().log, "console")  # its audit lines go where the program's go, beside the figures
    with launched() as browser:
        held = Held(count, closed_count, on_disk, rows)
        figures = run(held, times, browser, Team(analysts, think_s, work_s))
    for name, value in figures.items():
        if isinstance(value, dict):
            for route, measured in value.items():
                typer.echo(f"{route:30} p50 {measured['p50_ms']:7.1f} ms   p95 {measured['p95_ms']:7.1f} ms")
        else:
            typer.echo(f"{name}: {value}")
    write_json(json, figures)


if __name__ == "__main__":
    run_program(lambda: typer.run(command))
