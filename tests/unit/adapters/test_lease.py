"""Of two drivers of a query, one goes on: the other waits for its end, takes over what was left, or stops."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from adapters.archive.archive import Archive
from adapters.archive.layout import lease_key
from adapters.archive.lease import Holder, Lease
from adapters.objects.folder import FolderObjects
from fraud.errors import FatalError, MisconfiguredError

ELSEWHERE = Holder("r1", "fraud process", "fraud-job-1-driver", "boot pid:[1]", 7, 12_345)
NEWCOMER = Holder("r2", "fraud process", "fraud-job-2-driver", "boot pid:[2]", 7, 23_456)


class Time:
    """Seconds that pass when somebody waits, and what happens as they pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.happens: Callable[[float], object] = lambda _: None

    def pause(self, seconds: float) -> bool:
        self.now += seconds
        return bool(self.happens(self.now))

    def clock(self) -> float:
        return self.now


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(FolderObjects(tmp_path))


def lease(archive: Archive, holder: Holder, time: Time, wait_s: float = 60.0, beat_s: float = 3_600.0) -> Lease:
    return Lease(archive, "fraud", holder, wait_s, time.pause, beat_s=beat_s, term_s=30.0, clock=time.clock)


def holder_of(archive: Archive) -> str:
    return str(msgspec.json.decode(archive.get(lease_key("fraud")) or b"")["holder"]["run"])


def test_a_driver_waits_until_the_one_before_it_has_ended(archive: Archive) -> None:
    time, first = Time(), lease(archive, ELSEWHERE, Time())
    first.__enter__()

    def ends(now: float) -> None:
        if now == 12:  # seconds that the first one's last batch took
            first.__exit__()

    time.happens = ends
    with lease(archive, NEWCOMER, time):
        assert holder_of(archive) == "r2"
        assert 12 <= time.now < 14


def test_a_driver_stops_where_the_other_one_goes_on(archive: Archive) -> None:
    time, first = Time(), lease(archive, ELSEWHERE, Time())
    first.__enter__()
    time.happens = lambda now: now % 10 == 0 and first._write(ended=False) and None  # a renewal each 10 s
    with pytest.raises(MisconfiguredError, match=r"fraud process on fraud-job-1-driver .* goes on from the checkpoint"):
        lease(archive, NEWCOMER, time).__enter__()
    assert 60 <= time.now <= 62
    assert holder_of(archive) == "r1"
    first.__exit__()


def test_a_driver_takes_over_from_one_that_was_not_heard_of_for_the_term(archive: Archive) -> None:
    time, gone = Time(), lease(archive, ELSEWHERE, Time())
    gone.__enter__()
    with lease(archive, NEWCOMER, time, wait_s=0.0) as taken:
        assert 30 <= time.now <= 33
        assert not taken.lost
        # Cut off from the archive, not gone: it finds out at its next renewal, and writes nothing more.
        gone.lost = not gone._write(ended=False)
        with pytest.raises(FatalError, match=r"fraud-job-2-driver .* has taken over query fraud"):
            gone.require()
    gone.__exit__()
    assert holder_of(archive) == "r2"


def test_on_one_machine_a_killed_driver_is_known_to_be_gone_at_once(archive: Archive) -> None:
    code = (
        "import sys, time; from pathlib import Path; from adapters.archive.archive import Archive\n"
        "from adapters.archive.lease import lease_of; from adapters.objects.folder import FolderObjects\n"
        "with lease_of(Archive(FolderObjects(Path(sys.argv[1]))), 'fraud', 'first'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, archive.address]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        time = Time()
        here = Holder.this("r2", "second")
        with pytest.raises(MisconfiguredError, match=rf"first on \S+ \(process {first.pid}, run \w+\) goes on"):
            lease(archive, here, time, wait_s=0.0).__enter__()
        first.kill()
        os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet taken notice of by its parent
        with lease(archive, here, time, wait_s=0.0):
            assert time.now == 0
            assert holder_of(archive) == "r2"


def test_a_process_of_the_same_number_that_was_started_later_is_another_one(archive: Archive) -> None:
    this = Holder.this("r1", "first")
    assert this.lives()
    assert not msgspec.structs.replace(this, started=this.started - 1).lives()
    assert msgspec.structs.replace(this, host="another").lives() is None


def test_a_start_that_is_asked_to_stop_gives_up_waiting(archive: Archive) -> None:
    time, first = Time(), lease(archive, ELSEWHERE, Time())
    first.__enter__()
    time.happens = lambda now: now > 5
    with pytest.raises(InterruptedError):
        lease(archive, NEWCOMER, time).__enter__()
    first.__exit__()
    assert holder_of(archive) == "r1"


def test_a_renewal_finds_out_that_another_driver_took_over(archive: Archive) -> None:
    with lease(archive, ELSEWHERE, Time(), beat_s=0.01) as first:
        archive.replace(lease_key("fraud"), msgspec.json.encode({"holder": NEWCOMER, "beat": 0}))
        first._thread.join(10)
        assert first.lost
    assert holder_of(archive) == "r2"


def test_only_one_of_many_that_start_at_once_goes_on(archive: Archive) -> None:
    taken: list[str] = []
    refused: list[str] = []
    together = threading.Barrier(8)

    def start(number: int) -> None:
        holder = Holder.this(f"r{number}", "fraud process")
        together.wait()
        try:
            Lease(archive, "fraud", holder, 0.0, lambda _: False, beat_s=3_600.0).__enter__()
            taken.append(holder.run)
        except MisconfiguredError:
            refused.append(holder.run)

    threads = [threading.Thread(target=start, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1
    assert len(refused) == 7
    assert holder_of(archive) == taken[0]
