"""Plots of a training run: learning curves and confusion matrices, as Matplotlib figures."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float]]

_DPI = 144
# Inches of a cell of a confusion matrix, and of its cells together; and how small one still has its
# count.
_CELL, _WIDEST = 1.3, 13.0
_LEAST_SCALE = 0.3
_INK = "#22303c"
_QUIET = "#8a96a3"
# Blue and orange: told apart with any colour vision, and in grey.
_BLUE, _ORANGE = "#1f6fb2", "#e07a1f"
# Keras' names of the measures of the part that is watched.
_WATCHED = "val_"


def learning_curves(
    history: History, *, title: str, things: str = "birds", watched: str = "held out"
) -> Figure:
    """Plots the loss and the accuracy of both parts by epoch, side by side.

    Training values are means over an epoch, while the weights are still changing; those of the
    other part are taken at its end, and may look better for that.

    Args:
      history: Keras' ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``, one value per epoch.
      title: shown above both panels.
      things: what the rows are called.
      watched: what the other part is called.
    """
    figure = _figure(10.5, 4.4)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    _curves(left, history, "loss", watched, best=min, show=lambda value: f"{value:.4f}")
    left.set(title="Loss (lower is better)", ylabel="cross-entropy (nats)")
    # The loss falls by orders of magnitude: a linear axis would only show the first epochs.
    left.set_yscale("log")
    left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _curves(
        right, history, "accuracy", watched, best=max, show=lambda value: f"{100 * value:.1f} %"
    )
    right.set(title="Accuracy (higher is better)", ylabel=f"share of {things} classified correctly")
    right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    lowest = min(*history["accuracy"], *history["val_accuracy"])
    right.set_ylim(max(0.0, lowest - 0.05), 1.03)
    for axes, corner in ((left, "upper right"), (right, "lower right")):
        axes.set(xlabel="epoch (★ best, ● last)", xlim=(0.5, len(history["loss"]) + 0.5))
        axes.locator_params(axis="x", integer=True)
        axes.legend(loc=corner, frameon=False)
    figure.suptitle(_plain(title, 100), color=_INK, fontweight="bold")
    return figure


def confusion_matrices(
    matrices: Mapping[str, Sequence[Sequence[int]]],
    classes: Sequence[str],
    *,
    title: str,
    kind: str = "species",
) -> Figure:
    """Plots a matrix for each part, side by side: counts, and percentages of the true class.

    Args:
      matrices: by the name of the part; rows are true classes, columns predicted ones.
      classes: their names.
      title: shown above all panels.
      kind: what a class is called.
    """
    # From eleven classes on, cells shrink, and lose first their percentages, then their counts.
    cell = min(_CELL, _WIDEST / len(classes))
    size = max(4.6, cell * len(classes) + 0.8)
    figure = _figure(size * len(matrices) + 0.8, size + 0.4)
    names = list(map(_plain, classes))
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (part, counts) in zip(panels, matrices.items(), strict=True):
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, (row_counts, row_shares) in enumerate(zip(counts, shares, strict=True)):
            for column, (count, share) in enumerate(zip(row_counts, row_shares, strict=True)):
                _cell(axes, (column, row), count, share, scale=cell / _CELL)
        total = sum(map(sum, counts))
        right = sum(counts[index][index] for index in range(len(classes)))
        axes.set(
            title=f"{part}: {right} of {total} right ({100 * right / max(1, total):.1f} %)",
            xlabel=f"predicted {kind}", ylabel=f"true {kind}",
        )  # fmt: skip
        axes.set_xticks(range(len(classes)), names, rotation=0 if cell == _CELL else 90)
        axes.set_yticks(
            range(len(classes)), names, rotation=90 if cell == _CELL else 0, va="center"
        )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        # White lines between the cells.
        axes.set_xticks([index - 0.5 for index in range(1, len(classes))], minor=True)
        axes.set_yticks([index - 0.5 for index in range(1, len(classes))], minor=True)
        axes.grid(which="minor", color="white", linewidth=3)
        axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(picture, ax=list(panels), shrink=0.8, pad=0.02)
    bar.set_label(f"share of the true {kind}")
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_visible(False)
    figure.suptitle(_plain(title, 100), color=_INK, fontweight="bold")
    return figure


def save(figure: Figure, path: str, *, dpi: int = _DPI) -> None:
    """Writes a figure as PNG."""
    with open(path, "wb") as file:
        file.write(png(figure, dpi=dpi))


def png(figure: Figure, *, dpi: int = _DPI) -> bytes:
    """A figure as PNG, without Matplotlib's version in it: the same figure gives the same bytes."""
    target = io.BytesIO()
    with warnings.catch_warnings():
        # Names may have characters that the font hasn't.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(target, format="png", dpi=dpi, metadata={"Software": None})
    return target.getvalue()


def _plain(text: str, most: int = 24) -> str:
    """Text that isn't taken for a formula, and isn't longer than so many characters."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def _figure(width: float, height: float) -> Figure:
    # A separate Figure on the Agg canvas needs no display, and none of pyplot's global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _curves(
    axes: Axes,
    history: History,
    name: str,
    watched: str,
    *,
    best: Any,
    show: Callable[[float], str],
) -> None:
    """Draws a line for each part, with a star at its best value and a dot at its last."""
    for part, key, colour in (("training", name, _BLUE), (watched, _WATCHED + name, _ORANGE)):
        values = list(history[key])
        found = best(values)
        where, last = values.index(found) + 1, values[-1]
        label = f"{part}: best {show(found)} (epoch {where}), last {show(last)}"
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.8, label=label)
        marks: dict[str, Any] = {"color": colour, "markeredgecolor": "white", "zorder": 3}
        if where != len(values):
            axes.plot([len(values)], [last], marker="o", markersize=7, clip_on=False, **marks)
        axes.plot([where], [found], marker="*", markersize=15, clip_on=False, **marks)
    axes.grid(color="#e3e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_QUIET)


def _cell(axes: Axes, place: tuple[int, int], count: int, share: float, *, scale: float) -> None:
    column, row = place
    if scale < _LEAST_SCALE:
        return
    colour = "white" if share > 0.5 else _INK if count else _QUIET
    weight = "bold" if count else "normal"
    is_large = scale == 1
    axes.text(
        column, row - 0.08 * is_large, str(count), ha="center", va="center", color=colour,
        fontsize=17 * scale, fontweight=weight,
    )  # fmt: skip
    if is_large:
        axes.text(
        column, row + 0.2, f"{100 * share:.1f} %", ha="center", va="center", color=colour,
        fontsize=9,
    )  # fmt: skip
