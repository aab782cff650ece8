"""Whether this machine's clock agrees with those that it has to agree with."""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from director.doctor.findings import Finding, Topic
from director.exchange.http import is_loopback

TIMEOUT_S = 10.0
WARN_S = 60.0
# The endpoint throws commands away that are more than 180 s off its own clock. Clocks drift, so less is wrong already.
FAIL_S = 150.0

_TOPIC = Topic("clock")


@dataclass(frozen=True)
class Reading:
    """One look at another machine's clock.

    Attributes:
        of: Whose clock it is.
        ahead_s: By how much this machine's clock is ahead of it, in s; None if it could not be read.
        within_s: How far off that may be, in s.
        why: Why it could not be read.
    """

    of: str
    ahead_s: float | None
    within_s: float = 0.0
    why: str = ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect has a date of its own: nobody needs to be asked further."""

    def redirect_request(self, *_: object) -> None:
        return None


def read(of: str, url: str) -> Reading:
    """Reads the ``Date`` header that a web server sends with any answer, whatever it says.

    Args:
        of: Whose clock it is.
        url: Where to ask.
    """
    handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
    if is_loopback(url):
        handlers.append(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Cache-Control": "no-cache"})  # noqa: S310  (judged by `web_url`)
    began = time.time()
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_S) as response:
            headers = response.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        return Reading(of, None, why=f"{url} does not answer ({reason})")
    return reading(of, headers.get("Date"), headers.get("Age"), began, time.time())


def reading(of: str, date: str | None, age: str | None, began: float, ended: float) -> Reading:
    """Compares a ``Date`` header with this machine's time. Pure.

    Args:
        of: Whose clock it is.
        date: The header.
        age: The header ``Age``: how long a proxy had kept the answer, in s.
        began: When it was asked for, by this machine's clock.
        ended: When it was there.
    """
    try:
        then = parsedate_to_datetime(date or "")
    except (ValueError, TypeError):
        return Reading(of, None, why=f"{of} sends no date")
    kept_s = int(age) if age and age.isdigit() else 0
    # The header has whole seconds, which have been cut off: on average it is half a second old.
    theirs = (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() + kept_s + 0.5
    return Reading(of, (began + ended) / 2 - theirs, (ended - began) / 2 + 0.5)


def within(of: str, theirs: float, began: float, ended: float) -> Reading:
    """Compares a time that another machine told with the span in which it must have told it. Pure.

    Args:
        of: Whose clock it is.
        theirs: What it told, in s since 1970.
        began: When it was asked, by this machine's clock.
        ended: When its answer was there.
    """
    nearest = min(max(theirs, began), ended)
    return Reading(of, nearest - theirs, ended - began)


def judge(readings: Sequence[Reading]) -> list[Finding]:
    """Says whether the clocks agree."""
    if not readings:
        return [_TOPIC.unchecked("skew", "there is no web service or exchange to compare with")]
    return [_judge(reading) for reading in readings]


def _judge(reading: Reading) -> Finding:
    check = f"skew against {reading.of}"
    if reading.ahead_s is None:
        return _TOPIC.unchecked(check, reading.why)
    off_s = abs(reading.ahead_s)
    found = f"this machine is {off_s:.1f} s {'ahead' if reading.ahead_s > 0 else 'behind'} (±{reading.within_s:.1f} s)"
    hint = "Have this machine's clock set (chronyc tracking and timedatectl show how it is kept)"
    if off_s > FAIL_S:
        return _TOPIC.failed(check, f"{found}: an endpoint refuses to start when it is 180 s", hint)
    if off_s > WARN_S:
        return _TOPIC.warning(check, f"{found}: at 180 s an endpoint refuses to start", hint)
    return _TOPIC.ok(check, found)


def web_url(url: str) -> bool:
    """Whether a URL is one of the web."""
    return urlsplit(url).scheme in ("http", "https")
