"""Errors that a Tool raises on purpose."""


class ToolError(Exception):
    """A simulation that could not be done, with what to do about it.

    Args:
        message: What was wrong, and where.
        hint: What the user should do next.
        kind: Short name of the failure, shown as ``error.type`` of the Outcome.
        details: Numbers that a script may want, such as the step of a failure. JSON values only.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str,
        kind: str = "ToolError",
        details: dict[str, float | int | str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind
        self.details = details or {}


class Cancelled(Exception):  # noqa: N818  (a request was obeyed; nothing went wrong)
    """Raised by a Tool that saw its Workspace's stop flag and stopped."""
