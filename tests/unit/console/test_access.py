import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from console import access as module
from console.access import IDLE_S, SESSION_S, Access, CodeNeededError, ForbiddenError, TooManyFailuresError, User
from console.lockout import FAILURES, KEPT, LOCK_S
from console.users import Account, Role, UserFile, add_user
from fraud.errors import MisconfiguredError


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_password_is_shown_once_and_kept_only_as_hash(tmp_path: Path) -> None:
    file = tmp_path / "users.json"
    password = add_user(file, "ann", Role.LEAD)
    assert password not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    opened = Access(UserFile(file), Clock()).sign_in("ann", password, "here")
    assert opened is not None
    assert opened[1].user == User("ann", Role.LEAD)


def test_session_ends_with_its_time_and_with_sign_out(tmp_path: Path) -> None:
    password = add_user(tmp_path / "users.json", "ann", Role.ANALYST)
    clock = Clock()
    access = Access(UserFile(tmp_path / "users.json"), clock, idle_s=SESSION_S + 1.0)
    opened, again = (access.sign_in("ann", password, "here") for _ in range(2))
    assert opened is not None
    assert again is not None
    access.sign_out(opened[0])
    assert access.session(opened[0]) is None
    assert access.session(again[0]) is not None
    clock.now += SESSION_S
    assert access.session(again[0]) is None


def test_session_ends_when_nobody_uses_it_and_a_page_that_asks_by_itself_is_nobody(tmp_path: Path) -> None:
    password = add_user(tmp_path / "users.json", "ann", Role.ANALYST)
    clock = Clock()
    access = Access(UserFile(tmp_path / "users.json"), clock)
    assert IDLE_S == 15 * 60
    opened = access.sign_in("ann", password, "here")
    assert opened is not None
    for _ in range(3):
        clock.now += IDLE_S - 1
        assert access.session(opened[0]) is not None
    for _ in range(14):
        clock.now += 60
        assert access.session(opened[0], used=False) is not None
    clock.now += 60
    assert access.session(opened[0]) is None


class Guarded:
    """Sign-ins of users `ann` and `bob` without the cost of hashing: the password is `right`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "matches", lambda password, _: password == "right")
        self.clock = Clock()
        self.audit: list[tuple[str, str, str]] = []
        self.users = dict.fromkeys(("ann", "bob"), Account(Role.ANALYST, ""))
        self.access = Access(lambda: self.users, self.clock, audit=lambda *line: self.audit.append(line))

    def tries(self, name: str, password: str = "wrong", address: str = "192.0.2.1", code: str = "") -> str:
        try:
            opened = self.access.sign_in(name, password, address, code)
        except CodeNeededError:
            return "code needed"
        except TooManyFailuresError as error:
            return "locked" if 0 < error.wait_s <= LOCK_S else "locked for too long"
        return "refused" if opened is None else "in"


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> Guarded:
    return Guarded(monkeypatch)


def test_ten_failures_lock_a_user_for_thirty_minutes_from_wherever_they_come(guarded: Guarded) -> None:
    assert (FAILURES, LOCK_S) == (10, 1800.0)
    for n in range(FAILURES):
        assert guarded.tries("ann", address=f"192.0.2.{n}") == "refused"
    assert guarded.tries("ann", "right", "203.0.113.1") == "locked"
    assert guarded.tries("bob", "right", "203.0.113.1") == "in"
    guarded.clock.now += LOCK_S - 1
    assert guarded.tries("ann", "right", "203.0.113.1") == "locked"
    guarded.clock.now += 1
    assert guarded.tries("ann", "right", "203.0.113.1") == "in"


def test_ten_failures_lock_an_address_whatever_names_it_tries(guarded: Guarded) -> None:
    for n in range(FAILURES):
        assert guarded.tries(f"name-{n}") == "refused"
    assert guarded.tries("ann", "right") == "locked"
    assert guarded.tries("ann", "right", "203.0.113.1") == "in"


def test_a_network_of_ipv6_is_one_caller(guarded: Guarded) -> None:
    for n in range(FAILURES):
        assert guarded.tries(f"name-{n}", address=f"2001:db8::{n + 1:x}:1") == "refused"
    assert guarded.tries("ann", "right", "2001:db8::ffff") == "locked"
    assert guarded.tries("ann", "right", "2001:db8:0:1::1") == "in"


def test_an_unknown_name_locks_as_a_known_one_does(guarded: Guarded) -> None:
    def answers(name: str, network: int) -> list[str]:
        return [guarded.tries(name, address=f"198.51.{network}.{n}") for n in range(FAILURES + 2)]

    assert answers("ann", 1) == answers("nobody", 2) == ["refused"] * FAILURES + ["locked"] * 2


def test_signing_in_forgives_the_own_failures_and_not_those_as_others(guarded: Guarded) -> None:
    for _ in range(5):
        assert [guarded.tries("bob"), guarded.tries("bob", "right")] == ["refused", "in"]
    for n in range(FAILURES):
        assert guarded.tries(f"name-{n}") == "refused"
        assert n == FAILURES - 1 or guarded.tries("bob", "right") == "in"
    assert guarded.tries("bob", "right") == "locked"


class Slow:
    """Hashing that goes on until it is let go; `right` decides which passwords fit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, right: bool) -> None:
        self.hashed: list[str] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self._right = right
        monkeypatch.setattr(module, "matches", self)

    def __call__(self, password: str, _: str) -> bool:
        self.hashed.append(password)
        self.begun.release()
        assert self.go.wait(60)
        return self._right


def together(guarded: Guarded, slow: Slow, tries: int, at_once: int) -> list[str]:
    """The answers to tries of ann at the same time, of which `at_once` are hashed before any is decided."""
    with ThreadPoolExecutor(tries) as pool:
        asked = [pool.submit(guarded.tries, "ann") for _ in range(tries)]
        try:
            for _ in range(at_once):
                assert slow.begun.acquire(timeout=60)
            assert not slow.begun.acquire(timeout=0.1)
        finally:
            slow.go.set()
        return sorted(answer.result() for answer in asked)


def test_tries_at_the_same_time_do_not_pass_the_limit_together(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(FAILURES - 3):
        guarded.tries("ann")
    slow = Slow(monkeypatch, right=False)
    assert together(guarded, slow, tries=8, at_once=3) == ["locked"] * 5 + ["refused"] * 3
    assert len(slow.hashed) == 3


def test_right_passwords_at_the_same_time_wait_for_each_other_and_all_get_in(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(FAILURES - 3):
        guarded.tries(f"name-{n}")
    slow = Slow(monkeypatch, right=True)
    assert together(guarded, slow, tries=12, at_once=3) == ["in"] * 12


def test_a_code_that_is_not_given_yet_is_no_failure_and_a_wrong_one_is(guarded: Guarded) -> None:
    guarded.users["ann"] = Account(Role.ANALYST, "", totp="JBSWY3DPEHPK3PXP")
    for _ in range(2 * FAILURES):
        assert guarded.tries("ann", "right") == "code needed"
    for _ in range(FAILURES):
        assert guarded.tries("ann", "right", code="000000") == "refused"
        assert guarded.audit[-1][:2] == ("ann", "sign_in_failed")
    assert guarded.tries("ann", "right") == "locked"
    assert guarded.tries("bob", "right") == "locked"


def test_strangers_make_no_room_among_users(guarded: Guarded) -> None:
    for n in range(FAILURES):
        guarded.tries("ann", address=f"192.0.2.{n}")
    for n in range(KEPT + 100):
        guarded.tries(f"stranger-{n}", address=f"2001:db8:{n:x}::1")
    assert guarded.tries("ann", "right", "203.0.113.1") == "locked"
    assert max(len(guarded.access._strangers), len(guarded.access._addresses)) == KEPT


def test_sign_ins_are_in_the_audit_log_and_never_what_a_stranger_typed(guarded: Guarded) -> None:
    guarded.tries("ann", "right", "192.0.2.1")
    guarded.tries("my password, typed as a name", "x", "192.0.2.2")
    for _ in range(FAILURES + 1):
        guarded.tries("bob", "x", "192.0.2.3")
    assert guarded.audit == [
        ("ann", "sign_in", "192.0.2.1"),
        ("(unknown)", "sign_in_failed", "192.0.2.2"),
        *[("bob", "sign_in_failed", "192.0.2.3")] * (FAILURES - 1),
        ("bob", "sign_in_failed", "192.0.2.3, locked"),
    ]


@pytest.mark.parametrize("has", Role)
@pytest.mark.parametrize("needs", Role)
def test_role_may_what_lower_ones_may(has: Role, needs: Role) -> None:
    if has >= needs:
        User("ann", has).require(needs)
    else:
        with pytest.raises(ForbiddenError):
            User("ann", has).require(needs)


@pytest.mark.parametrize(
    "content", ["", "[]", '{"ann": {}}', '{"ann": {"role": "king", "password": "x"}}', "[" * 100_000, '{"ann":' * 5_000]
)
def test_unreadable_users_stop_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "users.json").write_text(content)
    with pytest.raises(MisconfiguredError, match=r"--users .*users\.json: cannot be read") as refused:
        UserFile(tmp_path / "users.json")()
    assert "\n" not in str(refused.value)
