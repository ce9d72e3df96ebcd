from pathlib import Path

import pytest

from console.access import (
    FAILURE_WINDOW_S,
    FAILURES,
    SESSION_S,
    Access,
    ForbiddenError,
    Role,
    TooManyFailuresError,
    User,
    add_user,
    read_users,
)
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
    opened = Access(read_users(file), Clock()).sign_in("ann", password, "here")
    assert opened is not None
    assert opened[1].user == User("ann", Role.LEAD)


def test_session_ends_with_its_time_and_with_sign_out(tmp_path: Path) -> None:
    password = add_user(tmp_path / "users.json", "ann", Role.ANALYST)
    clock = Clock()
    access = Access(read_users(tmp_path / "users.json"), clock)
    opened, again = (access.sign_in("ann", password, "here") for _ in range(2))
    assert opened is not None
    assert again is not None
    access.sign_out(opened[0])
    assert access.session(opened[0]) is None
    assert access.session(again[0]) is not None
    clock.now += SESSION_S
    assert access.session(again[0]) is None


def test_failures_lock_their_address_for_a_while_and_no_other(tmp_path: Path) -> None:
    password = add_user(tmp_path / "users.json", "ann", Role.ANALYST)
    clock = Clock()
    access = Access(read_users(tmp_path / "users.json"), clock)
    for name in ["ann", "nobody", "ann", "", "ann"]:
        assert access.sign_in(name, "wrong", "attacker") is None
    assert FAILURES == 5
    with pytest.raises(TooManyFailuresError):
        access.sign_in("ann", password, "attacker")
    assert access.sign_in("ann", password, "here") is not None
    clock.now += FAILURE_WINDOW_S + 1
    assert access.sign_in("ann", password, "attacker") is not None


@pytest.mark.parametrize("has", Role)
@pytest.mark.parametrize("needs", Role)
def test_role_may_what_lower_ones_may(has: Role, needs: Role) -> None:
    if has >= needs:
        User("ann", has).require(needs)
    else:
        with pytest.raises(ForbiddenError):
            User("ann", has).require(needs)


@pytest.mark.parametrize("content", ["", "[]", '{"ann": {}}', '{"ann": {"role": "king", "password": "x"}}'])
def test_unreadable_users_stop_the_start(tmp_path: Path, content: str) -> None:
    (tmp_path / "users.json").write_text(content)
    with pytest.raises(MisconfiguredError):
        read_users(tmp_path / "users.json")
