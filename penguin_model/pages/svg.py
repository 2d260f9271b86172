"""Parts of charts as inline SVG: frame, ticks, legend, lines and texts.

The page's style sheet sets the colours. Every chart is `WIDTH` units wide, about a phone's width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

from penguin_model.formatting import NO_BREAK, number
from penguin_model.pages.markup import Content, Markup, element

WIDTH = 340
LEFT, RIGHT, TOP = 42, 8, 24
LETTER = 6.2  # approximate width of a letter

Show = Callable[[float], str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """The counts of one side of a comparison.

    Attributes:
      label: its name in the legend.
      look: its class in the style sheet.
      counts: one per bin.
    """

    label: str
    look: str
    counts: Sequence[int]

    @property
    def shares(self) -> list[float]:
        """The counts as fractions of their sum."""
        total = sum(self.counts)
        return [each / total if total else 0.0 for each in self.counts]


def ticks(high: float, most: int = 4) -> list[float]:
    """Round numbers from 0 up to at least ``high``, in steps of 1, 2 or 5 times a power of 10."""
    if not high > 1e-9:
        return [0.0, 1.0]
    magnitude = 10.0 ** math.floor(math.log10(high / most))
    step = next(each * magnitude for each in (1, 2, 5, 10, 20) if high / (each * magnitude) <= most)
    return [round(step * place, 12) for place in range(math.ceil(high / step - 1e-9) + 1)]


def compact(high: float) -> Show:
    """The number format of an axis that ends at ``high``: ``250``, ``1.5 k``, ``20 M``."""
    units = (("G", 1e9), ("M", 1e6), ("k", 1e3))
    unit, size = next((each for each in units if high >= 10 * each[1]), ("", 1.0))
    return lambda value: number(value / size) + (f"{NO_BREAK}{unit}" if unit and value else "")


def shorten(text: str, most: int) -> str:
    """Cuts a text to at most so many letters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def chart(title: str, height: float, *content: Content) -> Markup:
    """The frame of a chart; screen readers read its title."""
    return element(
        "svg", element("title", title), content, role="img", viewBox=f"0 0 {WIDTH} {height:g}",
        width=WIDTH, height=height, xmlns="http://www.w3.org/2000/svg",
    )  # fmt: skip


def key(series: Sequence[Series]) -> list[Content]:
    """The legend at the top of a chart."""
    pieces: list[Content] = []
    x = 0.0
    for each in series:
        label = f"{each.label}, {sum(each.counts):,} rows"
        pieces.append(element("rect", class_=each.look, x=x, y=2, width=10, height=10))
        pieces.append(text(x + 14, 11, label))
        x += 30 + LETTER * len(label)
    return pieces


def y_axis(
    scale: Sequence[float], foot: float, show: Show, right: float = RIGHT, top: float = TOP
) -> list[Content]:
    """Horizontal grid lines with their labels on the left."""
    pieces: list[Content] = []
    for tick in scale:
        y = foot - tick / scale[-1] * (foot - top)
        pieces.append(line(LEFT, y, WIDTH - right, y, "grid" if tick else "axis"))
        pieces.append(text(LEFT - 5, y + 4, show(tick), "end"))
    return pieces


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> Markup:
    """A line between two points."""
    return element("line", class_=look, x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2))


def text(
    x: float, y: float, words: str, anchor: str | None = None, look: str | None = None
) -> Markup:
    """Text that starts at a point, or with an anchor has its ``middle`` or ``end`` there."""
    return element("text", words, x=float(x), y=float(y), text_anchor=anchor, class_=look)
