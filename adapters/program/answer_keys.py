"""Reads the secrets that answers are authenticated with from where the settings say they are."""

from __future__ import annotations

import os
from collections.abc import Mapping

from adapters.program.stored_secret import stored_secret
from fraud.errors import MisconfiguredError
from fraud.records.answered import MIN_SECRET_BYTES, AnswerKey
from fraud.settings import Answers

_WAY_OUT = "make one with: openssl rand -hex 32"


def open_answer_keys(answers: Answers, environment: Mapping[str, str] = os.environ) -> dict[str, AnswerKey]:
    """The keys of `answers.keys`, by id.

    Args:
        answers: say where each secret is.
        environment: variables of the process.

    Raises:
        MisconfiguredError: a secret is missing, cannot be read or is too short; nothing of it is repeated.
    """
    return {name: AnswerKey(name, _secret(name, source, environment)) for name, source in answers.keys.items()}


def signing_key(answers: Answers, keys: Mapping[str, AnswerKey]) -> AnswerKey:
    """The key that a service authenticates its answers with.

    Args:
        answers: name it.
        keys: as `open_answer_keys` read them.

    Raises:
        MisconfiguredError: there is none, or there are several and none is named.
    """
    if not keys:
        raise MisconfiguredError("answers.keys", f"has no key, so that no answer could be authenticated; {_WAY_OUT}")
    if answers.sign_with is None and len(keys) > 1:
        raise MisconfiguredError("answers.sign_with", f"must say which of {', '.join(keys)} signs")
    return keys[answers.sign_with or next(iter(keys))]


def _secret(name: str, source: str, environment: Mapping[str, str]) -> bytes:
    setting = f"answers.keys.{name}"
    secret = stored_secret(setting, source, environment)
    if len(secret) < MIN_SECRET_BYTES:
        raise MisconfiguredError(setting, f"is {len(secret)} bytes long, needed are {MIN_SECRET_BYTES}; {_WAY_OUT}")
    return secret
