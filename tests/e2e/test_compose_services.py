"""The services of the Compose file, without Docker, but started and confined as it says: they come up and decide."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.compose_services import SERVICES, Services, why_not

OURS = [name for name, service in SERVICES.items() if "tmpfs" in service]
COUNTED = (
    "import re, sys, urllib.request as u\n"
    "text = u.urlopen(sys.argv[1], timeout=5).read().decode()\n"
    "found = re.findall(rf'^{sys.argv[2]}.* ([0-9.]+)$', text, re.M)\n"
    "sys.exit(sum(map(float, found)) < int(sys.argv[3]))"
)
DECIDED = ["python", "-c", COUNTED, "http://job:9108/metrics", "fraud_transactions_decided_total", "100"]
SENT = ["python", "-c", COUNTED, "http://events:9109/metrics", "fraud_events_delivered_total", "1"]

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
]


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with Services(tmp_path_factory.mktemp("compose")) as made:
        made.start_emulator()
        yield made


@pytest.mark.parametrize("name", OURS)
def test_a_service_is_confined(services: Services, name: str) -> None:
    def done(script: str) -> tuple[int, str]:
        ran = services.run(name, ["sh", "-c", script])
        return ran.returncode, ran.stdout.decode().strip()

    assert done("id -u") == (0, "185")
    assert done("grep CapEff /proc/self/status")[1].split() == ["CapEff:", "0000000000000000"]
    assert "NoNewPrivs:\t1" in done("cat /proc/self/status")[1]
    for place in ("/", "/opt/fraud", "/opt/venv", "/etc"):
        code, said = done(f"touch {place}/written")
        assert (code, "Read-only file system" in said or "Permission denied" in said) == (1, True)
    assert done("touch /data/written && touch /tmp/written") == (0, "")
    assert done("cp /bin/true /tmp/tried && /tmp/tried") == (0, "")
    assert done("cp /bin/true /data/tried && /data/tried")[0] != 0  # nothing is executed from there


def test_all_come_up_in_their_order_and_decide_within_their_memory(services: Services) -> None:
    services.start("setup")
    assert services.await_end("setup") == 0, services.said("setup")
    services.start("endpoint")
    services.await_healthy("endpoint")
    services.start("console")
    services.start("job")
    services.start("events")
    services.await_healthy("events")
    services.await_healthy("job")
    services.start("producer")
    services.await_healthy("console")
    for name, counted in (("job", DECIDED), ("events", SENT)):
        while services.run(name, counted).returncode:
            assert services.runs(name), services.said(name)
    for name in ("job", "events"):
        assert services.stop(name) == 0, services.said(name)
    for name in OURS:
        memory = services.memory(name)
        if memory is None:
            pytest.skip("this machine has no control groups for memory; all else was as it has to be")
        assert memory[1] == 0, (name, memory)
    print({name: services.memory(name) for name in OURS})
