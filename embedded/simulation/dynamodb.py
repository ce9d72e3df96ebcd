"""A DynamoDB table in memory: the methods of a boto3 client that the alert table uses, its conditions and its errors.

Items are kept as DynamoDB has them, by typed values. Of expressions it knows the forms that `adapters.alerts.table`
writes, and refuses others: the contract suite of the alert table holds it to a real endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from adapters.alerts.dynamodb_items import from_dynamodb, to_dynamodb
from adapters.aws.errors import service_error

Typed = dict[str, Any]

_KEY = "alert_id"
_INSERT = re.compile(r'INSERT INTO "([^"]+)" VALUE \{(.*)\}')
_SET = re.compile(r"([#\w]+) = (list_append\(if_not_exists\(([#\w]+), (:\w+)\), (:\w+)\)|:\w+)")
RANGE = re.compile(r"(\w+) = :key AND (\w+) BETWEEN :since AND :until")
"""The only condition of a query: a key, and a span of the second one."""


class InMemoryDynamoDB:
    """One table.

    Args:
        table: its name.

    Attributes:
        items: as they are, by `alert_id`.
        faults: what the next calls do in part: `partial`, every second item is throttled.
    """

    def __init__(self, table: str) -> None:
        self.items: MutableMapping[str, Typed] = {}
        self.faults: list[str] = []
        self._table = table

    def describe_table(self, TableName: str) -> dict[str, Any]:
        """Whether it is there."""
        self._require(TableName, "DescribeTable")
        return {"Table": {"TableName": TableName, "TableStatus": "ACTIVE"}}

    def batch_execute_statement(self, Statements: list[dict[str, Any]]) -> dict[str, Any]:
        """Inserts; each for itself."""
        partial = self._takes("partial")
        return {
            "Responses": [
                {"Error": {"Code": "ThrottlingError", "Message": "simulated"}}
                if partial and place % 2 == 0
                else self._insert(statement)
                for place, statement in enumerate(Statements)
            ]
        }

    def _insert(self, statement: dict[str, Any]) -> dict[str, Any]:
        found = _INSERT.fullmatch(statement["Statement"])
        assert found is not None, statement
        self._require(found[1], "BatchExecuteStatement")
        names = re.findall(r"'([^']*)': \?", found[2])
        item = dict(zip(names, statement["Parameters"], strict=True))
        if _KEY not in item:
            return {"Error": {"Code": "ValidationError", "Message": "One or more parameter values were invalid"}}
        key = item[_KEY]["S"]
        if key in self.items:
            return {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}}
        self.items[key] = item
        return {"TableName": self._table}

    def batch_get_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        """Items by their keys; some of them are left for another call."""
        ((table, wanted),) = RequestItems.items()
        self._require(table, "BatchGetItem")
        keys = [key[_KEY]["S"] for key in wanted["Keys"]]
        now = keys[: len(keys) // 2] if self._takes("partial") else keys
        found = [self._projected(self.items[key], wanted) for key in now if key in self.items]
        left = [{_KEY: {"S": key}} for key in keys[len(now) :]]
        return {"Responses": {table: found}, "UnprocessedKeys": {table: {**wanted, "Keys": left}} if left else {}}

    def get_item(self, TableName: str, Key: Typed, ConsistentRead: bool = False) -> dict[str, Any]:  # noqa: ARG002
        """One item."""
        self._require(TableName, "GetItem")
        found = self.items.get(Key[_KEY]["S"])
        return {} if found is None else {"Item": found}

    def delete_item(self, TableName: str, Key: Typed) -> dict[str, Any]:
        """Removes an item, if it is there."""
        self._require(TableName, "DeleteItem")
        self.items.pop(Key[_KEY]["S"], None)
        return {}

    def update_item(
        self,
        TableName: str,
        Key: Typed,
        UpdateExpression: str,
        ConditionExpression: str,
        ExpressionAttributeValues: Typed,
        ExpressionAttributeNames: dict[str, str] | None = None,
    ) -> dict[str, Any]:
        """Changes an item where its condition holds."""
        self._require(TableName, "UpdateItem")
        names = ExpressionAttributeNames or {}
        item = self.items.get(Key[_KEY]["S"], {})
        if not all(_holds(part, item, names, ExpressionAttributeValues) for part in ConditionExpression.split(" AND ")):
            raise service_error("dynamodb", "UpdateItem", "ConditionalCheckFailedException", "it does not hold", 400)
        sets, _, removes = UpdateExpression.removeprefix("SET ").partition(" REMOVE ")
        changed = dict(item)
        for name, value, listed, default, added in _SET.findall(sets):
            whole = names.get(name, name)
            if listed:
                standing = names.get(listed, listed)
                before: Typed = item[standing] if standing in item else ExpressionAttributeValues[default]
                changed[whole] = {"L": [*before["L"], *ExpressionAttributeValues[added]["L"]]}
            else:
                changed[whole] = ExpressionAttributeValues[value]
        for name in filter(None, removes.split(", ")):
            changed.pop(names.get(name, name), None)
        self.items[Key[_KEY]["S"]] = changed
        return {}

    def query(
        self,
        TableName: str,
        IndexName: str,  # noqa: ARG002
        KeyConditionExpression: str,
        ExpressionAttributeValues: Typed,
        ScanIndexForward: bool,
        **projection: Any,
    ) -> dict[str, Any]:
        """Items of an index partition, by its second key."""
        self._require(TableName, "Query")
        found = RANGE.fullmatch(KeyConditionExpression)
        assert found is not None, KeyConditionExpression
        attribute, sort = found.groups()
        key, values = ExpressionAttributeValues[":key"], from_dynamodb(ExpressionAttributeValues)
        indexed = [item for item in self.items.values() if item.get(attribute) == key and sort in item]
        places = [(from_dynamodb({sort: item[sort]})[sort], item) for item in indexed]
        within = [(place, item) for place, item in places if values[":since"] <= place <= values[":until"]]
        within.sort(key=lambda pair: pair[0], reverse=not ScanIndexForward)
        return {"Items": [self._projected(item, projection) for _, item in within]}

    def scan(self, TableName: str) -> dict[str, Any]:
        """Every item."""
        self._require(TableName, "Scan")
        return {"Items": list(self.items.values())}

    @staticmethod
    def _projected(item: Typed, wanted: dict[str, Any]) -> Typed:
        if "ProjectionExpression" not in wanted:
            return item
        names = [wanted["ExpressionAttributeNames"][name] for name in wanted["ProjectionExpression"].split(", ")]
        return {name: item[name] for name in names if name in item}

    def _takes(self, fault: str) -> bool:
        if fault in self.faults:
            self.faults.remove(fault)
            return True
        return False

    def _require(self, table: str, operation: str) -> None:
        if table != self._table:
            raise service_error("dynamodb", operation, "ResourceNotFoundException", "no such table", 400)


def _holds(condition: str, item: Typed, names: dict[str, str], values: Typed) -> bool:
    missing = re.fullmatch(r"attribute_not_exists\(([#\w]+)\)", condition)
    if missing is not None:
        return names.get(missing[1], missing[1]) not in item
    name, value = re.fullmatch(r"([#\w]+) = (:\w+)", condition).groups()  # type: ignore[union-attr]
    return to_dynamodb(from_dynamodb({"_": item.get(names.get(name, name), {"NULL": True})})) == to_dynamodb(
        from_dynamodb({"_": values[value]})
    )


def plain(items: Iterable[Mapping[str, Any]], but: str) -> Iterator[dict[str, Any]]:
    """Items with plain values, without one attribute."""
    return (from_dynamodb({name: value for name, value in item.items() if name != but}) for item in items)
