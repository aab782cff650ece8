"""Reads quantities out of results, and writes numbers and text for people; shared by the page and the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from partitions.hostlist import compress, grouped
from simulations.records import Outcome

SHORT_ID = 8
MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EN DASH}"


class Quantity(NamedTuple):
    """A mean and, where known, its standard deviation, in the unit that the field's name states."""

    mean: float
    std: float | None = None


def quantity(result: Mapping[str, Any] | None, name: str) -> Quantity | None:
    """A quantity of a result, which is a number or ``{mean, std}``; None if it is absent or not finite."""
    value = (result or {}).get(name)
    if isinstance(value, Mapping):
        mean, std = _finite(value.get("mean")), _finite(value.get("std"))
    else:
        mean, std = _finite(value), None
    return None if mean is None else Quantity(mean, std)


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # JSON integers have no bound
        return None
    return number if math.isfinite(number) else None


def number(value: float, decimals: int | None = None) -> str:
    """A number with thousands separators and a true minus sign.

    Args:
        value: Finite.
        decimals: Digits after the point; by default enough to show four significant ones.
    """
    if value != 0 and not 1e-3 <= abs(value) < 1e12:
        return f"{value:.3g}".replace("-", MINUS)
    if decimals is None:
        decimals = 2 if value == 0 else min(4, max(0, 3 - math.floor(math.log10(abs(value)))))
    text = f"{value:,.{decimals}f}"
    return text.replace("-", MINUS) if float(text.replace(",", "")) else text.replace("-", "")


def brief(value: float) -> str:
    """A number on its own, without the zeros that would align it with others: ``2`` and not ``2.000``."""
    text = number(value)
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def mean_std(value: Quantity | None, decimals: int | None = None) -> str:
    """``mean ± std``, written to the digits that the standard deviation supports (two of it)."""
    if value is None:
        return MISSING
    if value.std is None:
        return number(value.mean, decimals)
    if decimals is None and value.std > 0:
        decimals = min(4, max(0, 1 - math.floor(math.log10(value.std))))
    return f"{number(value.mean, decimals)} ± {number(value.std, decimals)}"


def duration(seconds: float) -> str:
    """A duration in words short enough for a heading: ``12.4 s``, ``3 min 20 s``, ``2 h 05 min``, ``3 d 04 h``."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02} min"
    return f"{hours // 24:,} d {hours % 24:02} h"


def clean(text: object, limit: int = 200) -> str:
    """Text on one line without control characters, cut to a length.

    Messages come from programs and users: an escape sequence in one must not reach a terminal, nor a lone
    surrogate an encoder.
    """
    raw = str(text)
    line = " ".join("".join(c if c.isprintable() else " " for c in raw[: limit * 4]).split())
    return line if len(line) <= limit and len(raw) <= limit * 4 else line[: limit - 1] + "…"


def short_id(request_id: str) -> str:
    """The first characters of an id that is a hash, and the whole of one that a person chose."""
    is_hash = len(request_id) >= 32 and all(c in "0123456789abcdef-" for c in request_id)
    return request_id[:SHORT_ID] if is_hash else clean(request_id, 24)


def pairs(values: Mapping[str, Any], names: Iterable[str] | None = None) -> list[tuple[str, str]]:
    """Names and values, each short enough for a table's cell."""
    chosen = values if names is None else [name for name in names if name in values]
    return [(clean(name, 40), _cell(values[name])) for name in chosen]


def _cell(value: object) -> str:
    if isinstance(value, str):
        return clean(value, 48)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int):
        return clean(f"{value:,}".replace("-", MINUS), 48)
    if isinstance(value, float):
        return brief(value) if math.isfinite(value) else str(value)
    found = quantity({"value": value}, "value")
    return mean_std(found) if found else clean(json.dumps(value, default=str, ensure_ascii=False), 48)


def reason(outcome: Outcome) -> str:
    """Why an Outcome is not ok, on one line."""
    return clean(outcome.error.message, 300) if outcome.error else "no reason was recorded"


def compress_hosts(hosts: Iterable[str]) -> str:
    """Hostnames as schedulers write them, such as ``nid[001-004,007],login1``, in order of first sight."""
    return compress(grouped(hosts))
