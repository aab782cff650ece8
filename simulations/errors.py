"""Errors that a Tool raises on purpose."""


class ToolError(Exception):
    """A simulation that could not be done, with what to do about it.

    Args:
        message: What was wrong, and where.
        hint: What the user should do next.
        kind: Short name of the failure, shown as ``error.type`` of the Outcome.
        details: Numbers that a script may want, such as the step of a failure. JSON values only.
        transient: Whether the same inputs may well succeed the next time, as when a service did not answer. Only then
            the Request is tried again.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        kind: str = "ToolError",
        details: dict[str, float | int | str] | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind
        self.details = details or {}
        self.transient = transient


class Cancelled(Exception):  # noqa: N818  (a request was obeyed; nothing went wrong)
    """Raised by a Tool that was asked to stop for good, and did.

    Args:
        message: What was asked.
        timed_out: Whether that was because its time was over.
    """

    def __init__(self, message: str = "the request was cancelled while it ran", *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Paused(Exception):  # noqa: N818  (likewise)
    """Raised by a Tool that was asked to stop for now: what it has done is in its checkpoint."""

    def __init__(self, message: str = "it was asked to pause, and goes on from its checkpoint") -> None:
        super().__init__(message)


class Superseded(Exception):  # noqa: N818  (likewise)
    """Raised in an attempt that was given up for lost while it still ran: a later one has its folder now."""
