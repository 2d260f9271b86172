"""Numbers in the form that people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

NO_BREAK = "\N{NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"
MOST_LISTED = 12


def count(number: int) -> str:
    """``1,234``."""
    return f"{number:,}"


def counted(number: int, noun: str, space: str = NO_BREAK) -> str:
    """``1 row``, ``2 rows``."""
    return f"{count(number)}{space}{noun}{'' if number == 1 else 's'}"


def listed(texts: Sequence[str], most: int = MOST_LISTED) -> str:
    """``a, b, c``; of more than so many, the first ones and how many more there are."""
    if len(texts) <= most:
        return ", ".join(texts)
    return f"{', '.join(texts[:most])} and {count(len(texts) - most)} more"


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
