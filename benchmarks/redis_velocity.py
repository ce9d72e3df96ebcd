"""Velocity counts as fraud teams write them by hand: sorted sets in Redis, one Lua script a payment, called by address.

It keeps what a 7-day window needs of cards and merchants, counts four windows of each and sums one: no model, no rules,
no other entity, nothing on the disk. So it is a bound of what such a check costs, not a peer that does the same.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import psutil
import pyarrow as pa

from benchmarks.decisions_api import Connection, load
from embedded.emulator import free_port
from fraud.records.schema import milliseconds

SCRIPT = """
local now = tonumber(ARGV[1])
local said = {}
for k = 1, #KEYS do
  redis.call('ZREMRANGEBYSCORE', KEYS[k], '-inf', now - 604800000)
  redis.call('ZADD', KEYS[k], now, ARGV[2])
  redis.call('PEXPIRE', KEYS[k], 604800000)
  for _, window in ipairs({600000, 3600000, 86400000, 604800000}) do
    table.insert(said, redis.call('ZCOUNT', KEYS[k], now - window, now))
  end
  local spent = 0
  for _, one in ipairs(redis.call('ZRANGEBYSCORE', KEYS[k], now - 86400000, now)) do
    spent = spent + tonumber(string.match(one, ':(%d+)$'))
  end
  table.insert(said, spent)
end
return said
"""
_VALUES = 10
_AT_ONCE = 5_000


class _Payment(msgspec.Struct):
    transaction_id: str
    card_token: str
    merchant_id: str
    event_time: str
    billing_amount_minor: int


class Check(NamedTuple):
    """One call of the script."""

    card: str
    merchant: str
    time_ms: int
    member: str

    def command(self, digest: str) -> bytes:
        """As Redis takes it (RESP 2)."""
        keys = f"card:{self.card}", f"merchant:{self.merchant}"
        return _command("EVALSHA", digest, "2", *keys, str(self.time_ms), self.member)


class _Redis(Connection):
    """One call at a time on a connection that stays."""

    def data_received(self, data: bytes) -> None:
        self._data += data
        if self._data.startswith(b"-"):
            self._answer(500)
        elif self._data.count(b"\r\n") > _VALUES:
            self._answer(200)


def measure(past: Sequence[pa.RecordBatch], records: Sequence[bytes], rate: int, core: int) -> dict[str, Any]:
    """Asks Redis about payments at their planned times, as `benchmarks.decisions_api` asks for decisions.

    Args:
        past: transactions that it knows before, columns of `TRANSACTION_SCHEMA`.
        records: transactions to ask about, the first three seconds' unmeasured.
        rate: a second.
        core: that Redis runs on.
    """
    with _redis(core) as (process, port):
        remembered = asyncio.run(_remember(port, past))
        digest = asyncio.run(_loaded(port))
        requests = [_check_of(record).command(digest) for record in records]
        asyncio.run(load(port, requests[: rate * 3], rate, _Redis))
        before_s = sum(process.cpu_times()[:2])
        latencies, errors = asyncio.run(load(port, requests[rate * 3 :], rate, _Redis))
        used_s = sum(process.cpu_times()[:2]) - before_s
        memory = process.memory_info().rss
    p50, p99 = np.percentile(latencies, [50, 99])
    return {
        "redis_answered": len(latencies),
        "redis_errors": sum(errors.values()),
        "redis_p50_ms": float(p50),
        "redis_p99_ms": float(p99),
        "redis_processor_ms": 1_000 * used_s / len(latencies),
        "redis_bytes_per_event": memory / (2 * (remembered + len(records))),
    }


@contextmanager
def _redis(core: int) -> Iterator[tuple[psutil.Process, int]]:
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("--redis: there is no redis-server on the path; Debian's package is redis-server")
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.sched_setaffinity(0, {core}), cwd=Path("/")
    )
    try:
        asyncio.run(_listens(port))
        yield psutil.Process(process.pid), port
    finally:
        process.terminate()
        process.wait(30)


async def _listens(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def _remember(port: int, past: Sequence[pa.RecordBatch]) -> int:
    """Adds what was before, many commands at once; how many transactions."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    for batch in past:
        columns = (batch[name].to_pylist() for name in ("card_token", "merchant_id", "transaction_id"))
        times, amounts = milliseconds(batch["event_time"]).tolist(), batch["billing_amount_minor"].to_pylist()
        rows = list(zip(*columns, times, amounts, strict=True))
        for start in range(0, len(rows), _AT_ONCE):
            part = rows[start : start + _AT_ONCE]
            for card, merchant, identity, at, amount in part:
                for key in (f"card:{card}", f"merchant:{merchant}"):
                    writer.write(_command("ZADD", key, str(at), f"{identity}:{amount}"))
            await writer.drain()
            for _ in range(2 * len(part)):
                await reader.readline()
        count += len(rows)
    writer.close()
    return count


async def _loaded(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_command("SCRIPT", "LOAD", SCRIPT))
    await reader.readline()
    digest = (await reader.readline()).decode().strip()
    writer.close()
    return digest


def _check_of(record: bytes) -> Check:
    payment = msgspec.json.decode(record, type=_Payment)
    at = np.datetime64(payment.event_time.removesuffix("Z"), "ms").astype(np.int64)
    member = f"{payment.transaction_id}:{payment.billing_amount_minor}"
    return Check(payment.card_token, payment.merchant_id, int(at), member)


def _command(*parts: str) -> bytes:
    encoded = [part.encode() for part in parts]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in encoded)
