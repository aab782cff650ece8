"""Whether the exchange can be reached, and whether Directors elsewhere could reach it as well."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from director.doctor.findings import Finding, Topic
from director.exchange import ExchangeChoice, ExchangeError, connect, settle
from director.exchange.http import is_loopback

TIMEOUT_S = 20.0

_TOPIC = Topic("exchange")
_HOW = "Serve one where both sides reach it (director exchange), or use the hosted one: --exchange hosted"


@dataclass(frozen=True)
class ExchangeFacts:
    """What was found.

    Attributes:
        url: Where the exchange is; None: none was named, so that each run has its own on the client's loopback.
        elsewhere: Whether Directors are on other machines than this one.
        note: What a user should know about this exchange.
        error: Why it cannot be used; empty if it can.
        hint: What to do about it.
    """

    url: str | None
    elsewhere: bool
    note: str = ""
    error: str = ""
    hint: str = ""


def gather(choice: ExchangeChoice | None, *, elsewhere: bool) -> ExchangeFacts:
    """Connects to the exchange as a client of a run would, and leaves again.

    Args:
        choice: Which exchange; None: none was named.
        elsewhere: Whether Directors are on other machines than this one.
    """
    if choice is None or choice.url is None:
        return ExchangeFacts(None, elsewhere)
    note = choice.note or ""
    try:
        asyncio.run(_visit(choice))
    except ExchangeError as error:
        return ExchangeFacts(choice.url, elsewhere, note, error.message, error.hint)
    except TimeoutError:
        return ExchangeFacts(choice.url, elsewhere, note, f"no answer within {TIMEOUT_S:g} s", "See whether it runs")
    return ExchangeFacts(choice.url, elsewhere, note)


async def _visit(choice: ExchangeChoice) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        client = await connect(settle(choice, f"check-{uuid.uuid4().hex}"), name="doctor")
        await client.close()


def judge(facts: ExchangeFacts) -> list[Finding]:
    """Says whether runs can use it."""
    if facts.url is None:
        if not facts.elsewhere:
            return [_TOPIC.ok("reachable", "none is named: each run has its own, on this machine's loopback")]
        why = "none was named; that of a run's client is on its loopback, where Directors elsewhere cannot reach it"
        return [_TOPIC.unchecked("reachable", why, f"Name the one that runs are to use: --exchange URL. {_HOW}")]
    findings = []
    if facts.elsewhere and is_loopback(facts.url):
        found = f"{facts.url} is this machine's loopback: Directors on other machines cannot reach it"
        findings.append(_TOPIC.failed("address", found, _HOW))
    if facts.note:
        open_to_all = facts.url.startswith(("http://", "redis://")) and not is_loopback(facts.url)
        hint = "Use https:// or rediss://, with a proxy before the exchange, or a tunnel"
        note = _TOPIC.warning("secrecy", facts.note, hint) if open_to_all else _TOPIC.ok("secrecy", facts.note)
        findings.append(note)
    if facts.error:
        findings.append(_TOPIC.failed("reachable", facts.error, facts.hint or "See whether it runs"))
    else:
        findings.append(_TOPIC.ok("reachable", facts.url))
    return findings
