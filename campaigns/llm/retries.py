"""Whether a question is asked again, and when. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from campaigns.llm.settings import LanguageSettings

AGAIN = frozenset({408, 409, 425, 429})
"""HTTP statuses below 500 after which the same question may be answered."""

USED_UP = "insufficient_quota"
"""Code of an endpoint whose owner has to pay first; asking again is of no use."""


@dataclass(frozen=True)
class Trouble:
    """Why no answer came.

    Attributes:
        kind: ``status``, ``timeout``, ``connection`` or ``nonsense``.
        message: What the endpoint or the system says of it.
        status: HTTP status, if one came.
        code: The endpoint's own code.
        retry_after_s: How long the endpoint asks to wait, in s.
    """

    kind: str
    message: str
    status: int | None = None
    code: str | None = None
    retry_after_s: float | None = None

    @property
    def passing(self) -> bool:
        """Whether the same question may be answered later."""
        if self.status is None:
            return True
        return self.code != USED_UP and (self.status in AGAIN or self.status >= 500)


def wait_before_retry(trouble: Trouble, retry: int, settings: LanguageSettings, jitter: float) -> float | None:
    """How long to wait before asking again.

    Args:
        trouble: Why no answer came.
        retry: How many further attempts were made already.
        settings: How many there may be, and how long they wait.
        jitter: From 0 to 1: how much of a quarter of the wait is added, so that many do not come at the same moment.

    Returns:
        Seconds; None: it is not to be asked again.
    """
    if not trouble.passing or retry >= settings.max_retries:
        return None
    usual: float = min(settings.retry_wait_s * 2**retry * (1 + jitter / 4), settings.max_retry_wait_s)
    if trouble.retry_after_s is None:
        return usual
    return None if trouble.retry_after_s > settings.max_retry_wait_s else max(trouble.retry_after_s, usual)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """How long an endpoint asks to wait, in s; None: it does not say. RFC 9110, section 10.2.3."""
    lower = {name.lower(): value for name, value in headers.items()}
    for name, scale in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(lower[name]) / scale
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < 1e9:
            return seconds
    try:
        date = parsedate_to_datetime(lower["retry-after"])
    except (KeyError, ValueError):
        return None
    return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())


def explain(trouble: Trouble, settings: LanguageSettings, attempts: int) -> str:
    """What to tell the user when there is no answer."""
    tried = "" if attempts == 1 else f" after {attempts} attempts"
    asked = f"the language model {settings.model!r} at {settings.base_url} did not answer{tried}: {trouble.message}"
    if trouble.status in {401, 403}:
        hint = "Check the key: DIRECTOR_LLM_API_KEY or DIRECTOR_LLM_API_KEY_FILE"
    elif trouble.status == 404:
        hint = "Check the name of the model and the address, which ends in /v1 as a rule"
    elif trouble.code == USED_UP:
        hint = "The account behind the key has nothing left: see to that first"
    elif trouble.retry_after_s is not None and trouble.retry_after_s > settings.max_retry_wait_s:
        hint = f"It asks to wait {trouble.retry_after_s:g} s, and max_retry_wait_s is {settings.max_retry_wait_s:g}"
    elif trouble.kind == "timeout":
        hint = f"Give it longer than timeout_s: {settings.timeout_s:g}, or ask a faster model"
    elif trouble.passing:
        hint = "See whether the endpoint is up; what was decided before is kept, so go on later"
    else:
        hint = "The endpoint does not take this question"
    return f"{asked}. {hint}"
