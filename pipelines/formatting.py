"""Numbers, times and long texts in the form that people read them."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping

from penguin_model.formatting import (
    DASH,
    MINUS,
    MOST_LISTED,
    NO_BREAK,
    count,
    counted,
    listed,
    number,
    percent,
    psi,
)

__all__ = [
    "DASH", "MINUS", "MOST_TEXT", "NO_BREAK", "count", "counted", "cut", "duration", "escape_bytes",
    "listed", "listed_counts", "moment", "number", "percent", "psi", "size",
]  # fmt: skip

# A raw row may be megabytes long.
MOST_TEXT = 400


def cut(text: str, most: int = MOST_TEXT) -> str:
    """Shortens a long text to its beginning, and adds its length."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({count(len(text))} characters)"


def size(number_of_bytes: int) -> str:
    """``512 bytes``, ``1.2 kB``, ``3.4 GB``."""
    value = float(number_of_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def listed_counts(counts: Mapping[str, int]) -> str:
    """Counts by name, to be read after their sum: ``  (Adelie 150, Gentoo 123)``; may be empty.

    Of many names, those with the largest counts come first, and the others are only counted.
    """
    names = list(counts)
    if len(names) > MOST_LISTED:
        names.sort(key=lambda name: -counts[name])
    shown = listed([f"{name} {count(counts[name])}" for name in names])
    return f"  ({shown})" if shown else ""


def escape_bytes(path: str) -> str:
    """Makes text of a path, with bytes that aren't UTF-8 escaped."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


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
