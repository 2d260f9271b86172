"""Numbers, times and long texts in the form that people read them."""

from __future__ import annotations

import datetime
import math
import os

NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
# A raw row may be megabytes long.
MOST_TEXT = 400


def cut(text: str, most: int = MOST_TEXT) -> str:
    """Shortens a long text to its beginning, and adds its length."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({count(len(text))} characters)"


def escape_bytes(path: str) -> str:
    """Makes text of a path, with bytes that aren't UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def count(number: int) -> str:
    """``1,234``."""
    return f"{number:,}"


def counted(number: int, noun: str, space: str = NO_BREAK) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count(number)}{space}{noun}{'' if number == 1 else 's'}"


def percent(share: float | None, digits: int = 1) -> str:
    """``4.2%``; a share that is almost 0 or 1 is shown as ``<0.1%`` or ``>99.9%``."""
    if share is None:
        return DASH
    unit = 10.0**-digits
    if 0 < 100 * share < unit:
        return f"<{unit:g}%"
    if 100 - unit < 100 * share < 100:
        return f">{100 - unit:g}%"
    return f"{100 * share:.{digits}f}%"


def number(value: float | None, digits: int = 3) -> str:
    """A number to a few significant digits, never in scientific notation."""
    if value is None:
        return DASH
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    shown = f"{value:,.{places}f}"
    return (shown.rstrip("0").rstrip(".") if places else shown).replace("-", MINUS)


def psi(value: float | None) -> str:
    """A population stability index to two decimal places."""
    return DASH if value is None else f"{value:.2f}"


def moment(iso: str) -> str:
    """``2026-11-23 20:37:12 UTC``; text that isn't an ISO time is returned as it is."""
    try:
        found = datetime.datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return f"{found:%Y-%m-%d %H:%M:%S} {found.tzname() or ''}".strip()


def duration(start: str, end: str) -> str:
    """The time between two ISO times, in its two largest units."""
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
