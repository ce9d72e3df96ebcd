"""Delta tables beside the archive's objects, by `deltalake`: each change is one commit, or none."""

from __future__ import annotations

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, Transaction, write_deltalake

from adapters.aws.credentials import emulator_credentials
from fraud.settings import Archive, Aws

TABLES = "tables/"
"""Prefix of the Delta tables, beside the objects that they are made of."""

_ALONE = CommitProperties(max_commit_retries=0)
"""Fails where someone else committed in between. `deltalake` would retry, and lets two compactions of the same files
both succeed (delta-rs pull request 3982), which duplicates their rows."""

_VACUUM_AFTER_H = 168


class DeltaTables:
    """The tables of an archive, each below its name.

    Args:
        root: where they lie: an `s3://` address or a folder, with the `/` at its end.
        storage: how `deltalake` reaches it (`storage_options`).
    """

    def __init__(self, root: str, storage: dict[str, str]) -> None:
        self._root = root
        self._storage = storage

    def open(self, name: str) -> OpenTable | None:
        """A table as it is now; None where there is none."""
        url = f"{self._root}{name}"
        if not DeltaTable.is_deltatable(url, self._storage):
            return None
        return OpenTable(DeltaTable(url, storage_options=self._storage))

    def create(self, name: str, schema: pa.Schema) -> None:
        """Makes an empty table, divided by its column `date`; one that is there stays."""
        url = f"{self._root}{name}"
        DeltaTable.create(url, schema, mode="ignore", partition_by=["date"], storage_options=self._storage)


class OpenTable:
    """A table as it was at the last look.

    Changes raise `deltalake.exceptions.CommitFailedError` where someone else has committed since then.
    """

    def __init__(self, table: DeltaTable) -> None:
        self._table = table

    @property
    def schema(self) -> pa.Schema:
        """Its columns."""
        return pa.schema(self._table.schema())

    def version_of(self, application: str) -> int | None:
        """The version of an application's last commit; None before the first."""
        version: int | None = self._table.transaction_version(application)
        return version

    def refresh(self) -> None:
        """Looks again."""
        self._table.update_incremental()

    def query(self, sql: str) -> pa.Table:
        """What a query finds in the table, which it names `t`."""
        return pa.table(QueryBuilder().register("t", self._table).execute(sql).read_all())

    def append(self, rows: pa.Table, application: str, version: int) -> None:
        """Adds rows, new columns with them, and raises an application's version in the same commit."""
        properties = CommitProperties(max_commit_retries=0, app_transactions=[Transaction(application, version)])
        write_deltalake(self._table, rows, mode="append", schema_mode="merge", commit_properties=properties)

    def mark(self, application: str) -> None:
        """Raises an application's version, so that whoever has looked before has to look again before a change."""
        self.append(self.schema.empty_table(), application, (self.version_of(application) or 0) + 1)

    def delete(self, condition: str) -> int:
        """Deletes the rows that a condition in SQL chooses; how many."""
        removed = self._table.delete(condition, commit_properties=_ALONE)
        return int(removed.get("num_deleted_rows") or 0)

    def compact(self) -> None:
        """Makes few files of many."""
        self._table.optimize.compact(commit_properties=_ALONE)

    def vacuum(self) -> None:
        """Removes files that no version of the last week has."""
        self._table.vacuum(retention_hours=_VACUUM_AFTER_H, dry_run=False)


def storage_options(place: Archive, aws: Aws) -> dict[str, str]:
    """Where and how `deltalake` reaches the archive."""
    options = {"aws_region": aws.region, "aws_conditional_put": "etag"}
    if place.kms_key is not None:
        options |= {"aws_server_side_encryption": "aws:kms", "aws_sse_kms_key_id": place.kms_key}
    if aws.endpoint_url is not None:
        options |= {"aws_endpoint_url": aws.endpoint_url, "aws_allow_http": "true"}
    access_key, secret_key = emulator_credentials(aws, "s3")
    if access_key is not None and secret_key is not None:
        options |= {"aws_access_key_id": access_key, "aws_secret_access_key": secret_key}
    return options
