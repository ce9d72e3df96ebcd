"""The console's audit log: lines reach the chain, wait while its store is out of reach, and are found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.audit.chain import AuditChain
from adapters.objects.folder import FolderObjects
from console.access import ForbiddenError, Role, User
from console.audit import AuditLog
from console.services import audit as module
from console.services.audit import AuditDesk, Search
from console.services.background import Background
from fraud.errors import UnavailableError

LEAD = User("lee", Role.LEAD)


class Unsteady(FolderObjects):
    """A store that can be out of reach."""

    away = False

    def put_new(self, key: str, data: bytes) -> bool:
        self._ask()
        return super().put_new(key, data)

    def replace(self, key: str, data: bytes, tag: str) -> bool:
        self._ask()
        return super().replace(key, data, tag)

    def _ask(self) -> None:
        if self.away:
            raise UnavailableError("s3", "PutObject", "SlowDown", "busy")


class Logged:
    def __init__(self, folder: Path) -> None:
        self.objects = Unsteady(folder)
        self.chain = AuditChain(self.objects)
        self.now_ms = 1_000
        self.log = AuditLog(self.chain, lambda: self.now_ms)
        self.desk = AuditDesk(self.chain, Background(lambda: self.now_ms))

    def found(self, search: Search, limit: int = 100, before: int | None = None) -> list[str]:
        return [line["what"] for line in self.desk.page(LEAD, search, limit, before)["lines"]]


@pytest.fixture
def logged(tmp_path: Path) -> Logged:
    return Logged(tmp_path)


def test_lines_wait_in_order_while_the_store_is_out_of_reach(logged: Logged) -> None:
    logged.log("ann", "note", "first")
    logged.objects.away = True
    for what in ("second", "third"):
        logged.now_ms += 1
        logged.log("ann", "note", what)
    with pytest.raises(UnavailableError):
        logged.log.flush()
    assert logged.found(Search()) == ["first"]
    logged.objects.away = False
    logged.now_ms = 9_000
    logged.log.flush()
    logged.log.flush()
    assert [(line.entry.at_ms, line.entry.what) for line in logged.chain.newest()] == [
        (1_002, "third"),
        (1_001, "second"),
        (1_000, "first"),
    ]
    assert logged.chain.check().fault is None


def test_search_by_user_act_object_and_time(logged: Logged) -> None:
    for user, act, what in (("ann", "note", "Alpha"), ("bob", "note", "beta"), ("ann", "escalate", "alphabet")):
        logged.log(user, act, what)
        logged.now_ms += 1_000
    assert logged.found(Search(by="ann")) == ["alphabet", "Alpha"]
    assert logged.found(Search(act="note")) == ["beta", "Alpha"]
    assert logged.found(Search(text="ALPHA")) == ["alphabet", "Alpha"]
    assert logged.found(Search(since_ms=2_000, until_ms=3_000)) == ["beta"]
    assert logged.found(Search(by="cid")) == []


def test_pages_and_long_searches_go_on_where_they_stopped(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(7):
        logged.log("ann" if n else "bob", "note", str(n))
    first = logged.desk.page(LEAD, Search(), 3, None)
    assert [line["what"] for line in first["lines"]] == ["6", "5", "4"]
    second = logged.desk.page(LEAD, Search(), 4, first["next"])
    assert ([line["what"] for line in second["lines"]], second["next"]) == (["3", "2", "1", "0"], None)
    monkeypatch.setattr(module, "LOOKED_AT", 4)
    stopped = logged.desk.page(LEAD, Search(by="bob"), 3, None)
    assert stopped == {"lines": [], "next": 4}
    assert logged.found(Search(by="bob"), 3, stopped["next"]) == ["0"]


def test_export_holds_no_formulas(logged: Logged) -> None:
    logged.log("ann", "list created", '=HYPERLINK("x"),y')
    text = logged.desk.export(LEAD, Search())
    line = next(logged.chain.newest())
    assert text.splitlines() == [
        "number,at,by,act,what,hash",
        f'1,1970-01-01T00:00:01.000+00:00,ann,list created,"\'=HYPERLINK(""x""),y",{line.hash}',
    ]


def test_only_leads_look(logged: Logged) -> None:
    with pytest.raises(ForbiddenError):
        logged.desk.page(User("ann", Role.ANALYST), Search(), 1, None)
    with pytest.raises(ForbiddenError):
        logged.desk.export(User("ann", Role.ANALYST), Search())
