"""The pages' charts. Each title states the finding; colour alone never carries a value."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

from penguin_model.formatting import number, percent, psi
from penguin_model.pages import svg
from penguin_model.pages.markup import Content, Markup, element


def histogram(
    title: str, axis: str, edges: Sequence[float], series: Sequence[svg.Series]
) -> Markup:
    """Paired bars over bins, which are drawn equally wide whatever they span.

    Args:
      title: what is compared, and the result.
      axis: the quantity, with its unit.
      edges: between the bins; the outer bins are open-ended.
      series: one or two.
    """
    height, foot = 190, 150
    width = (svg.WIDTH - svg.LEFT - svg.RIGHT) / (len(edges) + 1)
    scale = svg.ticks(max(max(each.shares, default=0) for each in series))
    texts = [number(edge) for edge in edges]
    every = math.ceil((max(map(len, texts), default=0) * svg.LETTER + 4) / width)
    # The first of two is the reference, which is drawn narrower.
    parts = (0.3, 0.54) if len(series) > 1 else (0.84,)
    places = [0.08, 0.38] if len(series) > 1 else [0.08]
    return svg.chart(
        title,
        height,
        svg.key(series),
        svg.y_axis(scale, foot, lambda value: percent(value, 0)),
        [
            element(
                "rect", class_=each.look, x=svg.LEFT + width * (place + left),
                y=foot - share / scale[-1] * (foot - svg.TOP), width=width * part,
                height=share / scale[-1] * (foot - svg.TOP),
            )
            for each, left, part in zip(series, places, parts, strict=True)
            for place, share in enumerate(each.shares)
        ],
        [
            svg.line(x, foot, x, foot + 4, "axis")
            for x in (svg.LEFT + width * place for place in range(1, len(edges) + 1))
        ],
        [
            svg.text(svg.LEFT + width * place, foot + 16, text, "middle")
            for place, text in enumerate(texts, 1)
            if place % every == 0
        ],
        svg.text(0, height - 6, f"{svg.shorten(axis, 34)}; height: share of rows"),
    )  # fmt: skip


def most_frequent(
    names: Sequence[str], series: Sequence[svg.Series], most: int = 12
) -> tuple[list[str], list[svg.Series]]:
    """Leaves the most frequent bins of a histogram by name, in its order, and adds up the others.

    Args:
      names: of the bins.
      series: at least one.
      most: how many bins there are room for.
    """
    if len(names) <= most:
        return list(names), list(series)
    largest = [max(shares) for shares in zip(*(each.shares for each in series), strict=True)]
    kept = sorted(sorted(range(len(names)), key=lambda n: -largest[n])[: most - 1])
    others = f"{len(names) - len(kept):,} others"
    return [*(names[n] for n in kept), others], [
        dataclasses.replace(
            each,
            counts=[
                *(counts := [each.counts[n] for n in kept]),
                sum(each.counts) - sum(counts),
            ],
        )
        for each in series
    ]


def bars(title: str, names: Sequence[str], series: Sequence[svg.Series]) -> Markup:
    """Horizontal bars, grouped by name, each labelled with its share and count."""
    row = 14 * len(series) + 24
    longest = max((max(each.shares, default=0) for each in series), default=0) or 1.0
    room = svg.WIDTH - 104
    pieces: list[Content] = [svg.key(series)]
    for place, name in enumerate(names):
        top = svg.TOP + 12 + row * place
        pieces.append(svg.text(0, top + 2, svg.shorten(name, 44), look="strong"))
        for side, each in enumerate(series):
            share, y = each.shares[place], top + 8 + 14 * side
            length = max(room * share / longest, 1.0)
            # The first of two is the reference, which is drawn thinner.
            thick = 11.0 if side == len(series) - 1 else 6.0
            pieces.append(
                element(
                    "rect", class_=each.look, x=0, y=y + (11 - thick) / 2,
                    width=length, height=thick,
                )
            )  # fmt: skip
            value = f"{percent(share)} ({each.counts[place]:,})"
            pieces.append(svg.text(length + 5, y + 9.5, value))
    foot = svg.TOP + row * len(names) + 20
    return svg.chart(title, foot, *pieces, svg.text(0, foot - 4, "length: share of rows"))


def thresholds(title: str, rows: Sequence[tuple[str, float, float, str, bool]]) -> Markup:
    """Horizontal bars, each with a mark for the size that is to be expected.

    Args:
      title: what is compared.
      rows: name, value, threshold, verdict in words, and whether to highlight it.
    """
    scale = svg.ticks(max(max(value, mark) for _, value, mark, _, _ in rows), 5)
    foot = 38 * len(rows) + 6

    def across(value: float) -> float:
        return 4 + (svg.WIDTH - 20) * value / scale[-1]

    pieces: list[Content] = []
    for tick in scale:
        pieces.append(svg.line(across(tick), 2, across(tick), foot, "grid"))
        pieces.append(svg.text(across(tick), foot + 14, number(tick), "middle"))
    for place, (name, value, mark, words, notable) in enumerate(rows):
        y = 38 * place + 14
        look = "over notable" if notable else "over"
        length = max(across(value) - 4, 1.0)
        pieces += [
            svg.text(4, y, svg.shorten(name, 26), look="over strong"),
            svg.text(svg.WIDTH - 4, y, f"{psi(value)}, {words}", "end", look=look),
            element(
                "rect", class_="bad" if notable else "now", x=4, y=y + 6, width=length, height=11
            ),
            svg.line(across(mark), y + 3, across(mark), y + 20, "mark"),
        ]
    axis = "PSI  (0: identical; | threshold)"
    return svg.chart(title, foot + 36, *pieces, svg.text(4, foot + 31, axis))


def course(
    title: str,
    unit: str,
    values: Sequence[float | None],
    solid: Sequence[bool],
    ends: tuple[str, str],
    show: svg.Show,
    tick: svg.Show | None = None,
) -> Markup:
    """One value per run, in the order of the runs; the last one is labelled with its value.

    Args:
      title: what it shows.
      unit: of the values, for the axis.
      values: None for a run without one.
      solid: whether the run's point is drawn solid, on the line, or hollow beside it.
      ends: labels of the first and last run.
      show: formats a value.
      tick: formats a value on the axis; None uses `svg.compact`.
    """
    height, foot, right = 130, 92, 62
    known = [value for value in values if value is not None]
    scale = svg.ticks(max(known, default=0), 3)
    step = (svg.WIDTH - svg.LEFT - right) / max(len(values) - 1, 1)
    points = [
        None if value is None
        else (svg.LEFT + step * place, foot - value / scale[-1] * (foot - 10))
        for place, value in enumerate(values)
    ]  # fmt: skip
    pieces: list[Content] = [svg.y_axis(scale, foot, tick or svg.compact(scale[-1]), right, 10)]
    on_line = [point for point, is_solid in zip(points, solid, strict=True) if is_solid]
    for before, after in itertools.pairwise(on_line):
        if before and after:
            pieces.append(svg.line(*before, *after, "course"))
    for place, (point, is_solid) in enumerate(zip(points, solid, strict=True), 1):
        if point:
            radius = 4.0 if place == len(points) else 1.8 if is_solid else 3.0
            look = "now" if is_solid else "hollow"
            pieces.append(element("circle", class_=look, cx=point[0], cy=point[1], r=radius))
    if points and points[-1] and values[-1] is not None:
        x, y = points[-1]
        pieces.append(svg.text(x + 8, max(y + 4, 12), show(values[-1]), look="strong"))
    if len(values) > 1:
        pieces.append(svg.text(svg.LEFT, foot + 16, ends[0]))
    right_end = svg.LEFT + step * (len(values) - 1)
    pieces.append(svg.text(right_end, foot + 16, ends[1], "middle"))
    pieces.append(svg.text(0, height - 4, f"runs by end time; height: {unit}"))
    return svg.chart(title, height, *pieces)


def calibration(title: str, points: Sequence[tuple[float, float, float, float]]) -> Markup:
    """Accuracy over predicted probability; the diagonal is perfect calibration.

    Args:
      title: what it shows.
      points: mean probability, accuracy, and the ends of the accuracy's interval.
    """
    low = min([min(point[:2]) for point in points] or [0.0])
    step = 0.1 if low >= 0.5 else 0.2
    steps = max(math.ceil(round((1 - low) / step, 6)), 2)
    low = 1 - step * steps
    foot, size = 226, 210.0

    def across(value: float) -> float:
        return svg.LEFT + size * (value - low) / (1 - low)

    def up(value: float) -> float:
        return foot - size * (value - low) / (1 - low)

    pieces: list[Content] = [svg.line(across(low), up(low), across(1), up(1), "ideal")]
    for value in (1 - step * place for place in range(steps + 1)):
        pieces.append(svg.line(svg.LEFT, up(value), svg.LEFT + size, up(value), "grid"))
        pieces.append(svg.text(svg.LEFT - 5, up(value) + 4, percent(value, 0), "end"))
        pieces.append(svg.text(across(value), foot + 16, percent(value, 0), "middle"))
    for probability, share, least, most in points:
        x = across(probability)
        pieces.append(svg.line(x, up(max(least, low)), x, up(most), "whisker"))
        pieces.append(element("circle", class_="now", cx=x, cy=up(share), r=4.5))
    pieces.append(svg.text(svg.LEFT, foot + 34, "predicted probability; height: accuracy"))
    return svg.chart(title, foot + 40, *pieces)
