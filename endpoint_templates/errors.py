"""What is said when a template, an option or an endpoint folder cannot be used."""

from __future__ import annotations


class TemplateError(ValueError):
    """Something that a person gave cannot be used. Nothing has been written or started.

    Attributes:
        where: The option, file or name.
        message: What is wrong with it.
        hint: What to do.
    """

    def __init__(self, where: str, message: str, hint: str) -> None:
        self.where = where
        self.message = message
        self.hint = hint
        super().__init__(f"{where}: {message}. {hint}")
