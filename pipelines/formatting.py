"""Numbers, times and long texts as people read them."""

from __future__ import annotations

import datetime
import math

NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
# Longer texts are cut: a raw row may have megabytes.
MOST_TEXT = 400


def cut(text: str, most: int = MOST_TEXT) -> str:
    """The beginning of a long text, with its length."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({count(len(text))} characters)"


def count(number: int) -> str:
    """``1,234``."""
    return f"{number:,}"


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count(number)}{NO_BREAK}{noun}{'' if number == 1 else 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    """``4.2 %``; what is not quite 0 or 1 does not look so."""
    if share is None:
        return DASH
    unit = 10.0**-digits
    if 0 < 100 * share < unit:
        return f"<{NO_BREAK}{unit:g}{NO_BREAK}%"
    if 100 - unit < 100 * share < 100:
        return f">{NO_BREAK}{100 - unit:g}{NO_BREAK}%"
    return f"{100 * share:.{digits}f}{NO_BREAK}%"


def number(value: float | None, digits: int = 3) -> str:
    """A number with a few digits that matter, never as a power of ten."""
    if value is None:
        return DASH
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{places}f}"
    return (shown.rstrip("0").rstrip(".") if places else shown).replace("-", MINUS)


def psi(value: float | None) -> str:
    """A stability index, two digits after the point."""
    return DASH if value is None else f"{value:.2f}"


def moment(iso: str) -> str:
    """``2026-11-23 20:37:12 UTC``; what is no ISO time stays as it is."""
    try:
        found = datetime.datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{found:%Y-%m-%d %H:%M:%S} {found.tzname() or ''}".strip()


def duration(start: str, end: str) -> str:
    """How long from one ISO time to another, in the two largest units."""
    try:
        found = datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)
    except (ValueError, TypeError):
        return DASH
    seconds = found.total_seconds()
    if seconds < 60:
        return f"{seconds:.1f}{NO_BREAK}s"
    minutes, hours = int(seconds) // 60, int(seconds) // 3600
    if minutes < 60:
        return f"{minutes}{NO_BREAK}min {int(seconds) % 60}{NO_BREAK}s"
    return f"{hours}{NO_BREAK}h {minutes % 60}{NO_BREAK}min"
