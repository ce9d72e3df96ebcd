"""Users, authenticators and sessions that outlast a console."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.files.sessions import StoredSessions
from adapters.objects.folder import FolderObjects
from cli.main import build_app
from console import totp
from console.access import FRESH_S, Access, CodeNeededError, ForbiddenError, Session
from console.users import Account, Role, UserFile, add_user, hash_of_nobody, hash_password, matches
from fraud.errors import MisconfiguredError

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""That of the examples in RFC 6238: `12345678901234567890` in base 32."""


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class World:
    """Consoles that share a file of users and a store of sessions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "users.json"
        self.clock = Clock()
        self.password = add_user(self.file, "ann", Role.ANALYST)

    def console(self) -> Access:
        users = UserFile(self.file)
        sessions = StoredSessions(FolderObjects(self.folder / "store"))
        return Access(users, self.clock, sessions=sessions, set_password=users.set_password)

    def enter(self, console: Access) -> tuple[str, Session]:
        opened = console.sign_in("ann", self.password, "here")
        assert opened is not None
        return opened

    def fraud(self, *arguments: str) -> Result:
        return CliRunner().invoke(build_app(), ["users", *arguments, "--users", str(self.file)])


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.mark.parametrize(
    ("at_s", "code"),
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_the_rfc(at_s: int, code: str) -> None:
    assert totp.code(SECRET, at_s // totp.STEP_S) == code
    assert totp.step_of(SECRET, code, at_s) == at_s // totp.STEP_S
    assert totp.step_of(SECRET, code, at_s + totp.STEP_S) == at_s // totp.STEP_S
    assert totp.step_of(SECRET, code, at_s + 2 * totp.STEP_S) is None
    assert totp.step_of(SECRET, "é", at_s) is None


def test_a_restart_and_a_second_console_sign_nobody_out(world: World) -> None:
    token, session = world.enter(world.console())
    for console in (world.console(), world.console()):
        again = console.session(token)
        assert again is not None
        assert (again.user, again.csrf) == (session.user, session.csrf)
    kept = "".join(file.read_text() for file in (world.folder / "store").rglob("*.json"))
    assert token not in kept
    assert session.csrf not in kept


def test_a_sign_out_and_use_elsewhere_count_in_every_console(world: World) -> None:
    one, other = world.console(), world.console()
    token, _ = world.enter(one)
    for _ in range(4):
        world.clock.now += 800
        assert other.session(token) is not None
    assert one.session(token) is not None
    other.sign_out(token)
    world.clock.now += FRESH_S
    assert one.session(token) is None


def test_ended_sessions_are_swept_and_running_ones_stay(world: World) -> None:
    console = world.console()
    world.enter(console)
    world.clock.now += 10 * 3600
    token, _ = world.enter(console)
    console.sweep()
    assert len(list((world.folder / "store" / "sessions").glob("*.json"))) == 1
    assert console.session(token) is not None


@pytest.mark.parametrize(
    ("change", "role"),
    [
        (lambda users: users.pop("ann"), None),
        (lambda users: users.update(ann=users["ann"]._replace(role=Role.LEAD)), Role.LEAD),
        (lambda users: users.update(ann=users["ann"]._replace(password=hash_password("another"))), None),
        (lambda users: users.update(ann=users["ann"]._replace(totp=SECRET)), None),
    ],
    ids=["removed", "another role", "another password", "an authenticator"],
)
def test_a_change_of_a_user_counts_at_once_for_sessions_that_run(
    world: World, change: Callable[[dict[str, Account]], object], role: Role | None
) -> None:
    console = world.console()
    token, _ = world.enter(console)
    UserFile(world.file).change(change)
    session = console.session(token)
    assert (None if session is None else session.user.role) == role


def test_a_code_is_asked_for_and_works_once_in_whichever_console(world: World) -> None:
    UserFile(world.file).change(lambda users: users.update(ann=users["ann"]._replace(totp=SECRET)))
    one, other = world.console(), world.console()
    with pytest.raises(CodeNeededError):
        one.sign_in("ann", world.password, "here")
    assert one.sign_in("ann", "wrong", "here") is None
    code = totp.code(SECRET, int(world.clock.now) // totp.STEP_S)
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    assert one.sign_in("ann", world.password, "here", wrong) is None
    assert one.sign_in("ann", world.password, "here", code) is not None
    assert other.sign_in("ann", world.password, "here", code) is None
    world.clock.now += totp.STEP_S
    code = totp.code(SECRET, int(world.clock.now) // totp.STEP_S)
    assert other.sign_in("ann", world.password, "here", code) is not None


def test_people_change_their_password_with_the_old_one(world: World) -> None:
    console = world.console()
    token, session = world.enter(console)
    with pytest.raises(ForbiddenError, match="old password"):
        console.change_password(session, "wrong", "a new password", "here")
    assert console.session(token) is not None
    console.change_password(session, world.password, "a new password", "here")
    assert console.session(token) is None
    assert console.sign_in("ann", world.password, "here") is None
    assert console.sign_in("ann", "a new password", "here") is not None


def test_a_file_that_breaks_leaves_the_users_that_were_known(world: World) -> None:
    users = UserFile(world.file)
    assert set(users()) == {"ann"}
    whole = world.file.read_text()
    world.file.write_text("{")
    assert set(users()) == {"ann"}
    with pytest.raises(MisconfiguredError):
        UserFile(world.file)()
    with pytest.raises(MisconfiguredError):
        users.change(lambda _: None)
    world.file.write_text(whole)
    assert set(users()) == {"ann"}


def test_changes_at_the_same_time_lose_none(world: World) -> None:
    def add(number: int) -> None:
        UserFile(world.file).change(lambda users: users.update({f"u{number}": Account(Role.VIEWER, "x")}))

    threads = [threading.Thread(target=add, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(UserFile(world.file)()) == 13
    assert world.file.stat().st_mode & 0o077 == 0


def test_users_are_listed_added_changed_and_removed_in_a_terminal(world: World) -> None:
    added = world.fraud("add", "bob:viewer").output.strip()
    assert world.console().sign_in("bob", added.rpartition(": ")[2], "here") is not None
    assert isinstance(world.fraud("add", "bob:viewer").exception, MisconfiguredError)
    assert isinstance(world.fraud("add", "bob:king").exception, MisconfiguredError)
    assert "bob is lead now" in world.fraud("role", "bob:lead").output
    key = world.fraud("key", "robot:viewer").output.strip().rpartition(": ")[2]
    session = world.console().machine(key)
    assert session is not None
    assert session.user.name == "robot"
    assert key not in world.file.read_text()
    assert world.fraud("totp", "ann").output.startswith("otpauth://totp/")
    new = world.fraud("password", "ann").output.strip().rpartition(": ")[2]
    with pytest.raises(CodeNeededError):
        world.console().sign_in("ann", new, "here")
    listed = world.folder / "list.json"
    assert world.fraud("list", "--json", str(listed)).output.splitlines() == [
        "ann\tanalyst\tpassword and code",
        "bob\tlead\tpassword",
        "robot\tviewer\tAPI key",
    ]
    assert [row["role"] for row in json.loads(listed.read_text())["users"]] == ["analyst", "lead", "viewer"]
    assert world.fraud("remove", "bob").output == "bob is removed\n"
    assert isinstance(world.fraud("remove", "bob").exception, MisconfiguredError)


def test_no_password_matches_the_hash_of_nobody_which_has_the_form_of_one() -> None:
    nobodys, anns = hash_of_nobody(), hash_password("right")
    assert [len(part) for part in nobodys.split("$")] == [len(part) for part in anns.split("$")]
    assert matches("right", anns)
    assert not matches("right", nobodys)
