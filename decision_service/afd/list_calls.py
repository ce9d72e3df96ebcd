"""Calls on lists: they read and change the living lists, as `fraud lists` and the console do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from decision_service.afd.describe import Named, Page, paged
from decision_service.afd.detector import Served
from decision_service.afd.errors import ApiError, conflict, invalid, not_found, unavailable
from fraud.decision.policy.compiled import CompiledPolicy
from fraud.decision.policy.document import ENTITY_FIELDS, EntityName, ListKind
from fraud.decision.policy.living import Given, ListError, NoSuchListError
from fraud.decision.rules.fields import Kind
from fraud.errors import FraudError
from fraud.migration.convert import identifier
from fraud.records.schema import whole
from operations.lists import Author, ListDesk, lists_of_files

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=whole("[0-9a-z_]+"))]
Element = Annotated[str, Meta(min_length=1, max_length=320, pattern=whole(r"\S+( +\S+)*"))]
Elements = Annotated[list[Element], Meta(max_length=100_000)]
_WHY = "asked for through the API of Amazon Fraud Detector"
_ENTITY_OF: dict[str, EntityName] = {column: entity for entity, column in ENTITY_FIELDS.items()}  # type: ignore[misc]

Done = Callable[[Any, str], Awaitable[dict[str, Any]]]


class OfElements(Page, rename="camel", kw_only=True):
    """GetListElements."""

    name: Name


class CreateList(msgspec.Struct, rename="camel"):
    """A new list."""

    name: Name
    elements: Elements = []
    variable_type: str | None = None


class UpdateList(msgspec.Struct, rename="camel"):
    """What becomes of the elements of a list."""

    name: Name
    elements: Elements = []
    update_mode: str = "REPLACE"


class DeleteList(msgspec.Struct, rename="camel"):
    """A list that is to be removed."""

    name: Name


class ListCalls:
    """Answers the calls on lists.

    Args:
        served: the detector.
        desk: reads and changes the living lists.
        policy: the policy in force.
        now_ms: UTC milliseconds.

    Attributes:
        reads: by operation, the type of its request and what answers it.
        changes: likewise; the second argument is who asks.
    """

    def __init__(
        self, served: Served, desk: ListDesk, policy: Callable[[], CompiledPolicy], now_ms: Callable[[], int]
    ) -> None:
        self._served = served
        self._desk = desk
        self._policy = policy
        self._now_ms = now_ms
        self._exported = {each["name"]: each for each in served.exported.get("lists_metadata", [])}
        self.reads: dict[str, tuple[type[Any], Done]] = {
            "GetListElements": (OfElements, self._in_thread(self._elements)),
            "GetListsMetadata": (Named, self._in_thread(self._metadata)),
        }
        self.changes: dict[str, tuple[type[Any], Done]] = {
            "CreateList": (CreateList, self._in_thread(self._create)),
            "UpdateList": (UpdateList, self._in_thread(self._update)),
            "DeleteList": (DeleteList, self._in_thread(self._delete)),
        }

    def _in_thread(self, work: Callable[[Any, str], dict[str, Any]]) -> Done:
        """The same beside the loop: lists may lie on S3."""

        def done(asked: Any, who: str) -> dict[str, Any]:
            try:
                return work(asked, who)
            except NoSuchListError as error:
                raise not_found(f"name: {error}") from None
            except ListError as error:
                raise invalid(str(error)) from None
            except ApiError:
                raise
            except FraudError:
                raise unavailable("the store of the lists does not answer now") from None

        return lambda asked, who: asyncio.to_thread(done, asked, who)

    def _elements(self, asked: OfElements, _: str) -> dict[str, Any]:
        return paged(self._of(asked.name), asked, "elements")

    def _of(self, name: str) -> list[str]:
        """The elements that count now; of a list that did not carry over, as they were exported."""
        if name in self._exported and not self._is_there(name):
            return list(self._served.exported["lists"].get(name, []))
        now_ms, found = self._now_ms(), self._desk.get(identifier(name)).entries
        return sorted(value for value, each in found.items() if each.expires_ms is None or each.expires_ms > now_ms)

    def _is_there(self, name: str) -> bool:
        return any(each["name"] == identifier(name) for each in self._desk.all())

    def _metadata(self, asked: Named, _: str) -> dict[str, Any]:
        """The lists that were exported, and those of rules that came later."""
        known = {identifier(name) for name in self._exported}
        added = [
            {"name": each["name"].replace("-", "_")}
            for each in self._desk.all()
            if each["kind"] == ListKind.NAMED.value and each["name"] not in known
        ]
        found = [*self._exported.values(), *added]
        if asked.name is not None:
            found = [each for each in found if each["name"] == asked.name]
            if not found:
                raise not_found("name: there is no such list")
        return paged(found, asked, "lists")

    def _create(self, asked: CreateList, who: str) -> dict[str, Any]:
        name, author = identifier(asked.name), Author(who, _WHY)
        if self._is_there(asked.name) or asked.name in self._exported:
            raise invalid("name: there is a list of this name already")
        entity = self._entity(asked.variable_type)
        self._desk.create(name, ListKind.NAMED, entity, author)
        if asked.elements:
            self._desk.add(name, [Given(value) for value in asked.elements], author)
        return {}

    def _entity(self, variable_type: str | None) -> EntityName:
        """What a list of values of this type is of."""
        bound, kept = self._served.names.variables, self._served.imported.variables
        for variable in self._served.detector.variables:
            if variable.variable_type == variable_type and kept.get(variable.name) is Kind.TEXT:
                return "text"
            if variable.variable_type == variable_type and variable.name in bound:
                entity = _ENTITY_OF.get(bound[variable.name].field)
                if entity is not None:
                    return entity
        raise invalid(
            "variableType: name that of a variable which is a card, customer, merchant, device, IP address, BIN, "
            "category or country here, or a text of its own (variables in mapping.yaml)"
        )

    def _update(self, asked: UpdateList, who: str) -> dict[str, Any]:
        if asked.name in self._exported and not self._is_there(asked.name):
            raise invalid("name: the list did not carry over: no field of ours is of its type")
        name, author = identifier(asked.name), Author(who, _WHY)
        standing = self._desk.get(name)
        given = [Given(value) for value in asked.elements]
        if asked.update_mode == "APPEND":
            self._desk.add(name, given, author, standing.kind, standing.of)
        elif asked.update_mode == "REMOVE":
            present = [value for value in asked.elements if value in standing.entries]
            if present:
                self._desk.remove(name, present, author)
        elif asked.update_mode == "REPLACE":
            self._desk.replace(name, given, author, standing.kind, standing.of)
        else:
            raise invalid("updateMode: is none of REPLACE, APPEND, REMOVE")
        return {}

    def _delete(self, asked: DeleteList, who: str) -> dict[str, Any]:
        if not self._is_there(asked.name):
            raise not_found("name: there is no such list")
        if identifier(asked.name) in lists_of_files(self._policy().bundle):
            raise conflict("name: the policy's files have the list: remove it and its rules there (docs/rules.md)")
        try:
            self._desk.delete(identifier(asked.name), Author(who, _WHY))
        except ListError as error:
            raise conflict(f"name: {error}") from None
        return {}
