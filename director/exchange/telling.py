"""What the errors of libraries mean, in words that say what to do."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from director.exchange.errors import ExchangeError


@dataclass(frozen=True)
class Told:
    """What one kind of error means.

    Attributes:
        message: What is wrong; ``{url}``, ``{host}`` and ``{error}`` are filled in.
        hint: What to do.
        passing: Whether it may pass by itself.
    """

    message: str
    hint: str
    passing: bool = False

    def error(self, url: str, error: str) -> ExchangeError:
        """The same as an error of the exchange at a URL."""
        fields = {"url": url, "host": urlsplit(url).hostname, "error": error}
        return ExchangeError(self.message.format(**fields), self.hint.format(**fields), passing=self.passing)


Meanings = tuple[tuple[type[Exception], Told], ...]


def told(url: str, error: Exception, meanings: Meanings) -> ExchangeError | None:
    """Says in words what went wrong on the way to an exchange. Pure.

    Args:
        url: Where the exchange is.
        error: What was raised.
        meanings: What errors mean; the first that fits is taken.

    Returns:
        None if the error does not come from there.
    """
    if isinstance(error, ExchangeError):
        return error
    meaning = next((meaning for kind, meaning in meanings if isinstance(error, kind)), None)
    return meaning.error(url, str(error) or type(error).__name__) if meaning is not None else None
