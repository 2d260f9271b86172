"""Plots of a training run: learning curves and confusion matrices, as Matplotlib figures."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Mapping[str, Sequence[float]]

_DPI = 144
_INK = "#22303c"
_QUIET = "#8a96a3"
# Blue and orange: told apart with any colour vision, and in grey.
_COLOURS = {"training": "#1f6fb2", "held out": "#e07a1f"}
_PREFIXES = {"training": "", "held out": "val_"}


def learning_curves(history: History, *, title: str) -> Figure:
    """Plots the loss and the accuracy of both parts by epoch, side by side.

    Training values are means over an epoch, while the weights are still changing; held-out values
    are taken at its end, and may look better for that.

    Args:
      history: Keras' ``loss``, ``accuracy``, ``val_loss``, ``val_accuracy``, one value per epoch.
      title: shown above both panels.
    """
    figure = _figure(10.5, 4.4)
    left, right = figure.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    _curves(left, history, "loss", best=min, show=lambda value: f"{value:.4f}")
    left.set(title="Loss (lower is better)", ylabel="cross-entropy (nats)")
    # The loss falls by orders of magnitude: a linear axis would only show the first epochs.
    left.set_yscale("log")
    left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    _curves(right, history, "accuracy", best=max, show=lambda value: f"{100 * value:.1f} %")
    right.set(title="Accuracy (higher is better)", ylabel="share of birds classified correctly")
    right.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    lowest = min(*history["accuracy"], *history["val_accuracy"])
    right.set_ylim(max(0.0, lowest - 0.05), 1.03)
    for axes, corner in ((left, "upper right"), (right, "lower right")):
        axes.set(xlabel="epoch (★ best, ● last)", xlim=(0.5, len(history["loss"]) + 0.5))
        axes.locator_params(axis="x", integer=True)
        axes.legend(loc=corner, frameon=False)
    figure.suptitle(title, color=_INK, fontweight="bold")
    return figure


def confusion_matrices(
    matrices: Mapping[str, Sequence[Sequence[int]]], classes: Sequence[str], *, title: str
) -> Figure:
    """Plots a matrix for each part, side by side: counts, and percentages of the true class.

    Args:
      matrices: by the name of the part; rows are true classes, columns predicted ones.
      classes: their names.
      title: shown above all panels.
    """
    size = max(4.6, 1.3 * len(classes) + 0.8)
    figure = _figure(size * len(matrices) + 0.8, size + 0.4)
    panels = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, (part, counts) in zip(panels, matrices.items(), strict=True):
        shares = [[count / max(1, sum(row)) for count in row] for row in counts]
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, (row_counts, row_shares) in enumerate(zip(counts, shares, strict=True)):
            for column, (count, share) in enumerate(zip(row_counts, row_shares, strict=True)):
                _cell(axes, column, row, count, share)
        total = sum(map(sum, counts))
        right = sum(counts[index][index] for index in range(len(classes)))
        axes.set(
            title=f"{part}: {right} of {total} right ({100 * right / max(1, total):.1f} %)",
            xlabel="predicted species", ylabel="true species",
        )  # fmt: skip
        axes.set_xticks(range(len(classes)), classes)
        axes.set_yticks(range(len(classes)), classes, rotation=90, va="center")
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        # White lines between the cells.
        axes.set_xticks([index - 0.5 for index in range(1, len(classes))], minor=True)
        axes.set_yticks([index - 0.5 for index in range(1, len(classes))], minor=True)
        axes.grid(which="minor", color="white", linewidth=3)
        axes.tick_params(which="minor", length=0)
    bar = figure.colorbar(picture, ax=list(panels), shrink=0.8, pad=0.02)
    bar.set_label("share of the true species")
    bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    bar.outline.set_visible(False)
    figure.suptitle(title, color=_INK, fontweight="bold")
    return figure


def save(figure: Figure, path: str, *, dpi: int = _DPI) -> None:
    """Writes a figure as PNG."""
    with open(path, "wb") as file:
        file.write(png(figure, dpi=dpi))


def png(figure: Figure, *, dpi: int = _DPI) -> bytes:
    """A figure as PNG, without Matplotlib's version in it: the same figure gives the same bytes."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=dpi, metadata={"Software": None})
    return target.getvalue()


def _figure(width: float, height: float) -> Figure:
    # A separate Figure on the Agg canvas needs no display, and none of pyplot's global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _curves(
    axes: Axes, history: History, name: str, *, best: Any, show: Callable[[float], str]
) -> None:
    """Draws a line for each part, with a star at its best value and a dot at its last."""
    for part, prefix in _PREFIXES.items():
        values = list(history[prefix + name])
        colour = _COLOURS[part]
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


def _cell(axes: Axes, column: int, row: int, count: int, share: float) -> None:
    colour = "white" if share > 0.5 else _INK if count else _QUIET
    weight = "bold" if count else "normal"
    axes.text(
        column, row - 0.08, str(count), ha="center", va="center", color=colour, fontsize=17,
        fontweight=weight,
    )  # fmt: skip
    axes.text(
        column, row + 0.2, f"{100 * share:.1f} %", ha="center", va="center", color=colour,
        fontsize=9,
    )  # fmt: skip
