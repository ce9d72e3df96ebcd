"""A DynamoDB table on disk, over HTTP on loopback: for tables that are too large for a double in memory.

What a call does is the simulator's double (`embedded.simulation.dynamodb`), whose items lie in SQLite here. Answers of
`Query` and `Scan` come in pages of at most a megabyte, as DynamoDB's do (developer guide, paginating query results).

Run: python -m tests.support.dynamodb_server TABLE FILE; ends with its standard input.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from adapters.aws.provision import ALERT_INDEXES
from embedded.simulation.dynamodb import RANGE, InMemoryDynamoDB, Typed
from fraud.errors import ServiceError
from tests.support.servers import LoopbackServer

_PAGE_BYTES = 1 << 20
_DURABLE_CALLS = {"BatchExecuteStatement", "UpdateItem", "DeleteItem"}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, item TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS indexed (
  name TEXT, key TEXT, sort INTEGER, id TEXT, PRIMARY KEY (name, key, sort, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS indexed_by_id ON indexed (id);
"""


class _Items(MutableMapping[str, Typed]):
    """Items by their key, in a file, with an entry in each index whose keys they have."""

    def __init__(self, file: Path) -> None:
        self.database = sqlite3.connect(file, check_same_thread=False, isolation_level="DEFERRED")
        self.database.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; {_SCHEMA}")

    def __getitem__(self, key: str) -> Typed:
        found = self.database.execute("SELECT item FROM items WHERE id = ?", [key]).fetchone()
        if found is None:
            raise KeyError(key)
        return json.loads(found[0])  # type: ignore[no-any-return]

    def __contains__(self, key: object) -> bool:
        return self.database.execute("SELECT 1 FROM items WHERE id = ?", [key]).fetchone() is not None

    def __setitem__(self, key: str, item: Typed) -> None:
        self.database.execute("DELETE FROM indexed WHERE id = ?", [key])
        self.database.execute("INSERT OR REPLACE INTO items VALUES (?, ?)", [key, json.dumps(item)])
        entries = [
            (name, item[partition]["S"], int(item[sort]["N"]), key)
            for name, (partition, sort) in ALERT_INDEXES.items()
            if partition in item and sort in item
        ]
        self.database.executemany("INSERT INTO indexed VALUES (?, ?, ?, ?)", entries)

    def __delitem__(self, key: str) -> None:
        if not self.database.execute("DELETE FROM items WHERE id = ?", [key]).rowcount:
            raise KeyError(key)
        self.database.execute("DELETE FROM indexed WHERE id = ?", [key])

    def __iter__(self) -> Iterator[str]:
        return (key for (key,) in self.database.execute("SELECT id FROM items ORDER BY id"))

    def __len__(self) -> int:
        return int(self.database.execute("SELECT count(*) FROM items").fetchone()[0])


class DiskDynamoDB(InMemoryDynamoDB):
    """One table in a file.

    Args:
        table: its name.
        file: of the database; what is in it from before stays.
    """

    def __init__(self, table: str, file: Path) -> None:
        super().__init__(table)
        self._on_disk = _Items(file)
        self.items = self._on_disk

    def commit(self) -> None:
        """Makes what was written last past the end of this process."""
        self._on_disk.database.commit()

    def query(
        self,
        TableName: str,  # noqa: N803
        IndexName: str,  # noqa: N803
        KeyConditionExpression: str,  # noqa: N803
        ExpressionAttributeValues: Typed,  # noqa: N803
        ScanIndexForward: bool,  # noqa: N803
        **more: Any,
    ) -> dict[str, Any]:
        """A page of the items of an index partition, by its second key."""
        self._require(TableName, "Query")
        found = RANGE.fullmatch(KeyConditionExpression)
        assert found is not None, KeyConditionExpression
        partition, sort = ALERT_INDEXES[IndexName]
        assert found.groups() == (partition, sort), KeyConditionExpression
        key = ExpressionAttributeValues[":key"]["S"]
        since, until = (int(ExpressionAttributeValues[name]["N"]) for name in (":since", ":until"))
        beyond, order = (">", "ASC") if ScanIndexForward else ("<", "DESC")
        where, values = "name = ? AND key = ? AND sort BETWEEN ? AND ?", [IndexName, key, since, until]
        if "ExclusiveStartKey" in more:
            where += f" AND (sort, indexed.id) {beyond} (?, ?)"
            values += [int(more["ExclusiveStartKey"][sort]["N"]), more["ExclusiveStartKey"]["alert_id"]["S"]]
        rows = self._on_disk.database.execute(
            f"SELECT item FROM indexed JOIN items ON items.id = indexed.id WHERE {where} "
            f"ORDER BY sort {order}, indexed.id {order} LIMIT ?",
            [*values, int(more.get("Limit", -1))],
        )
        items, last = self._page(rows)
        if last is None and len(items) == more.get("Limit"):
            last = items[-1]
        keys = ("alert_id", partition, sort)
        return {"Items": [self._projected(item, more) for item in items]} | (
            {} if last is None else {"LastEvaluatedKey": {name: last[name] for name in keys}}
        )

    def scan(self, TableName: str, ExclusiveStartKey: Typed | None = None) -> dict[str, Any]:  # noqa: N803
        """A page of all items."""
        self._require(TableName, "Scan")
        after = "" if ExclusiveStartKey is None else ExclusiveStartKey["alert_id"]["S"]
        rows = self._on_disk.database.execute("SELECT item FROM items WHERE id > ? ORDER BY id", [after])
        items, last = self._page(rows)
        return {"Items": items} | ({} if last is None else {"LastEvaluatedKey": {"alert_id": last["alert_id"]}})

    @staticmethod
    def _page(rows: sqlite3.Cursor) -> tuple[list[Typed], Typed | None]:
        """Items of at most a megabyte, and the last one where more follow."""
        items: list[Typed] = []
        size = 0
        for (item,) in rows:
            size += len(item)
            if items and size > _PAGE_BYTES:
                rows.close()
                return items, items[-1]
            items.append(json.loads(item))
        return items, None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, double: DiskDynamoDB, one_at_a_time: threading.Lock, *arguments: Any) -> None:
        self._double, self._one_at_a_time = double, one_at_a_time
        super().__init__(*arguments)

    def do_POST(self) -> None:
        operation = self.headers["x-amz-target"].partition(".")[2]
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for ignored in ("ReturnConsumedCapacity", "ReturnValues"):
            asked.pop(ignored, None)
        try:
            with self._one_at_a_time:
                method = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
                answer = getattr(self._double, method)(**asked)
                if operation in _DURABLE_CALLS:
                    self._double.commit()
            status = 200
        except ServiceError as error:
            status = 400
            answer = {"__type": f"com.amazonaws.dynamodb.v20120810#{error.code}", "message": error.detail}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/x-amz-json-1.0")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Silent."""


@contextmanager
def serving_table(table: str, file: Path) -> Iterator[str]:
    """Serves a table for as long as the context lasts; gives the address."""
    double = DiskDynamoDB(table, file)
    server = LoopbackServer(partial(_Handler, double, threading.Lock()))  # type: ignore[arg-type]
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def main(arguments: Sequence[str]) -> None:
    """Serves until standard input ends."""
    table, file = arguments
    with serving_table(table, Path(file)) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
