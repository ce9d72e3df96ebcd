"""Runs uv where pip would go: `python scripts/uv_as_pip.py pip install ...`.

uv reads none of pip's configuration. Somebody who has pip pointed at an index, a folder or a certificate of theirs
need not do so again. What the environment says to uv itself (`UV_...`) goes before.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "no-index": "UV_NO_INDEX",
    "trusted-host": "UV_INSECURE_HOST",
    "timeout": "UV_HTTP_TIMEOUT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
_SEPARATORS = {"UV_INDEX": " ", "UV_FIND_LINKS": ",", "UV_INSECURE_HOST": " "}
"""Of those that may name several; pip parts them by white space."""

_SECTIONS = ("global", "install", ":env:")
"""Of pip's settings, the later wins."""


def uv_settings(listed: str) -> dict[str, str]:
    r"""What pip's settings are to uv, in environment variables.

    Args:
        listed: what `pip config list` prints.

    >>> uv_settings("global.extra-index-url='file:///a\\nfile:///b'\nglobal.find-links='/c /d'\nuser.x='1'")
    {'UV_INDEX': 'file:///a file:///b', 'UV_FIND_LINKS': '/c,/d'}
    >>> uv_settings("global.cert='/a'\n:env:.cert='/b'")
    {'SSL_CERT_FILE': '/b'}
    """
    settings = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.partition(".")
        settings[section, option] = ast.literal_eval(value)
    found: dict[str, str] = {}
    for section in _SECTIONS:
        for option, name in _NAMES.items():
            if (section, option) in settings:
                value = settings[section, option]
                found[name] = _SEPARATORS[name].join(value.split()) if name in _SEPARATORS else value
    return found


def uv_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment to run uv in.

    Args:
        environment: ours.
    """
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    given = {name: value for name, value in environment.items() if name.startswith("UV_")}
    # pip knows no order of indexes: any of them may have the file of the hash.
    return {**environment, **uv_settings(listed), "UV_INDEX_STRATEGY": "unsafe-best-match", **given}


if __name__ == "__main__":
    uv = Path(sys.executable).with_name("uv")
    os.execve(uv, [str(uv), *sys.argv[1:]], uv_environment(os.environ))
