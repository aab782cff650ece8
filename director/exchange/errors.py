"""What can be wrong with an exchange, in words that say what to do."""

from __future__ import annotations


class ExchangeError(ConnectionError):
    """An exchange cannot be used, or has lost what it was told.

    Args:
        message: What is wrong, and where.
        hint: What to do.
        passing: Whether it may pass by itself, so that asking again makes sense.
    """

    def __init__(self, message: str, hint: str = "", *, passing: bool = False) -> None:
        self.message = message
        self.hint = hint
        self.passing = passing
        super().__init__(f"{message}. {hint}" if hint else message)

    def __reduce__(self) -> tuple[object, ...]:
        return _remade, (self.message, self.hint, self.passing)


class MailboxClosedError(ExchangeError):
    """A mailbox was closed for good: its Director has ended, and an exchange gives no address twice."""


def _remade(message: str, hint: str, passing: bool) -> ExchangeError:
    return ExchangeError(message, hint, passing=passing)
