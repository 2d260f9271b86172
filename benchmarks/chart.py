"""Draws the figures of a run: `python -m benchmarks.chart FIGURES.json CHART.png`."""

import argparse
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.contenders import BARE, CONTENDERS, OURS

# Of each panel: the figure, its title, its unit's size, whether its scale is logarithmic.
PANELS = (
    ("ratio", "Rows a second, the copy = 1", 1.0, True),
    ("cpu", "CPU seconds a million rows", 1.0, True),
    ("start_up", "Start-up, seconds", 1.0, False),
    ("memory", "Peak memory, GiB", 1024.0, False),
)
COLOURS = {OURS: "#0b7285", BARE: "#495057"}
OTHERS = "#adb5bd"


def draw(report: Mapping[str, Any], path: Path) -> None:
    """Draws bars, a row of panels for each format."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    formats = report["formats"]
    height = 0.8 + sum(0.8 + 0.42 * len(found) for found in formats.values())
    figure, grid = pyplot.subplots(
        *(len(formats), len(PANELS)),
        figsize=(15, height),
        squeeze=False,
        layout="constrained",
    )
    for axes, (form, found) in zip(grid, formats.items(), strict=True):
        most = max((one["rows"] for one in found.values()), default=0)
        labels = [label(name, one["rows"], most) for name, one in found.items()]
        colours = [COLOURS.get(CONTENDERS[name].module, OTHERS) for name in found]
        for axis, (key, title, unit, logarithmic) in zip(axes, PANELS, strict=True):
            # JSON has no NaN of its own: what could not be told is null there.
            values = [(one[key] or math.nan) / unit for one in found.values()]
            drawn = [0 if math.isnan(value) else max(value, 0) for value in values]
            places = range(len(values))
            bars = axis.barh(places, drawn, color=colours, log=logarithmic)
            axis.bar_label(bars, [text(value) for value in values], padding=3, fontsize=9)
            axis.set_yticks(places, labels if axis is axes[0] else [])
            axis.invert_yaxis()
            axis.margins(x=0.2)
            axis.set_title(title if axis is not axes[0] else f"{form}: {title}", fontsize=10)
            axis.tick_params(labelsize=9)
            axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(str(report["machine"]), fontsize=9, color="#495057")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def label(name: str, rows: int, most: int) -> str:
    """A contender's title, with its rows where they are fewer than the others'."""
    title = CONTENDERS[name].title
    return title if rows == most else f"{title}\n({rows:,} rows)"


def text(value: float) -> str:
    """A figure with two significant digits."""
    if math.isnan(value):
        return "?"
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}"


def main() -> None:
    """Draws what a run has written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", type=Path)
    parser.add_argument("chart", type=Path)
    arguments = parser.parse_args()
    draw(json.loads(arguments.figures.read_text()), arguments.chart)


if __name__ == "__main__":
    main()
