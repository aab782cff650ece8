"""Where the language model is, and the key to it: from the environment, handed in as a mapping by who starts.

| name | meaning |
|---|---|
| ``DIRECTOR_LLM_BASE_URL`` | address of the endpoint: ``https://host/v1`` |
| ``DIRECTOR_LLM_MODEL`` | name of the model |
| ``DIRECTOR_LLM_API_KEY`` | the key, if the endpoint wants one |
| ``DIRECTOR_LLM_API_KEY_FILE`` | a file that holds the key, instead |
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from campaigns.language import NotConfigured
from campaigns.llm.settings import LanguageSettings, settings_from

BASE_URL = "DIRECTOR_LLM_BASE_URL"
MODEL = "DIRECTOR_LLM_MODEL"
API_KEY = "DIRECTOR_LLM_API_KEY"
API_KEY_FILE = "DIRECTOR_LLM_API_KEY_FILE"

LONGEST_KEY = 8192


class Key:
    """A key that does not show itself: neither in ``repr`` and ``str``, nor pickled, nor in JSON.

    Args:
        value: The key.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The key itself, for the client that sends it."""
        return self._value

    def __repr__(self) -> str:
        return "Key(…)"

    def __reduce__(self) -> Any:
        raise TypeError("a key is never written anywhere: hand over the environment's names instead")


@dataclass(frozen=True)
class LanguageAccess:
    """What the environment says of the language model.

    Attributes:
        base_url: Its endpoint; None: not said.
        model: Its name; None: not said.
        key: Its key; None: it wants none.
        cancelled: Is set when nobody waits for replies any more.
    """

    base_url: str | None = None
    model: str | None = None
    key: Key | None = None
    cancelled: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    def anew(self) -> LanguageAccess:
        """The same, not cancelled, and cancelled by itself."""
        return replace(self, cancelled=threading.Event())

    def cancel(self) -> None:
        """Ends every wait for a reply, now and later, of those who were given this. For any thread."""
        self.cancelled.set()

    def settings(self, config: Mapping[str, Any] | None = None) -> LanguageSettings:
        """Settings of one agent: what a file says of it, and the environment for the rest.

        Raises:
            NotConfigured: If there is no endpoint or no model.
            ValueError: If a field is not acceptable, or the file names another endpoint than the environment while
                there is a key: a key is sent nowhere but where its owner has said.
        """
        found = settings_from(config or {}, base_url=self.base_url, model=self.model)
        if self.key is not None and (self.base_url is None or found.base_url != self.base_url.rstrip("/")):
            raise ValueError(
                f"base_url: the key of the environment is for {self.base_url or 'no endpoint'} and is not sent to "
                f"{found.base_url}. Set {BASE_URL} to that address, or leave base_url out"
            )
        return found


def access_from(environment: Mapping[str, str]) -> LanguageAccess:
    """Reads what an environment says.

    Args:
        environment: Such as ``os.environ``, read once by the command that starts.

    Raises:
        NotConfigured: If the key's file cannot be read or is empty, or both a key and a file are given.
    """
    return LanguageAccess(environment.get(BASE_URL) or None, environment.get(MODEL) or None, _key(environment))


def _key(environment: Mapping[str, str]) -> Key | None:
    value, file = environment.get(API_KEY), environment.get(API_KEY_FILE)
    if value and file:
        raise NotConfigured(f"both {API_KEY} and {API_KEY_FILE} are set: leave one out")
    if value:
        return Key(_checked(value.strip(), API_KEY))
    if not file:
        return None
    try:
        with Path(file).open(encoding="utf-8") as text:
            return Key(_checked(text.read(LONGEST_KEY + 2).strip(), API_KEY_FILE))
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"the file that {API_KEY_FILE} names cannot be read ({error}). Name one that can") from None


def _checked(value: str, name: str) -> str:
    """A key that can stand in a header. Its text is never part of a message."""
    if not value or len(value) > LONGEST_KEY or not value.isascii() or not value.isprintable() or " " in value:
        raise NotConfigured(f"{name} holds no key: it must be one word of printable ASCII. Set it anew")
    return value
