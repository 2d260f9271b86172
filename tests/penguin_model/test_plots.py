"""The pictures: what stands on them, and that they are files of a sensible size."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from penguin_model.training import plots

HISTORY = {
    "loss": [2.0, 0.5, 0.25, 0.3],
    "accuracy": [0.5, 0.75, 0.8, 0.9],
    "val_loss": [1.0, 0.4, 0.2, 0.1],
    "val_accuracy": [0.6, 1.0, 0.9, 0.95],
}
CLASSES = ["Adelie", "Gentoo", "Chinstrap"]
TRAINING = [[99, 0, 1], [0, 88, 0], [3, 0, 9]]
HELD_OUT = [[50, 0, 0], [0, 35, 0], [0, 0, 18]]


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    assert found is not None
    return [text.get_text() for text in found.get_texts()]


def test_learning_curves() -> None:
    figure = plots.learning_curves(HISTORY, title="a model")
    loss, accuracy = figure.axes
    assert figure.get_suptitle() == "a model"
    assert loss.get_title().startswith("Loss")
    assert accuracy.get_title().startswith("Accuracy")
    assert loss.get_xlabel().startswith("epoch")
    assert accuracy.get_xlabel().startswith("epoch")
    assert "nats" in loss.get_ylabel()
    assert accuracy.get_ylabel()
    assert legend(loss) == [
        "training: best 0.2500 (epoch 3), last 0.3000",
        "held out: best 0.1000 (epoch 4), last 0.1000",
    ]
    assert legend(accuracy) == [
        "training: best 90.0 % (epoch 4), last 90.0 %",
        "held out: best 100.0 % (epoch 2), last 95.0 %",
    ]
    lines = [np.asarray(line.get_ydata()).tolist() for line in loss.lines]
    drawn = [line for line in lines if len(line) > 1]
    assert drawn == [HISTORY["loss"], HISTORY["val_loss"]]


def test_one_epoch_can_be_drawn(tmp_path: Path) -> None:
    history = {name: values[:1] for name, values in HISTORY.items()}
    plots.save(plots.learning_curves(history, title="short"), str(tmp_path / "a.png"))


def test_confusion_matrices() -> None:
    figure = plots.confusion_matrices(
        {"Training": TRAINING, "Held out": HELD_OUT}, CLASSES, title="a model"
    )
    left, right, bar = figure.axes
    assert left.get_title() == "Training: 196 of 200 right (98.0 %)"
    assert right.get_title() == "Held out: 103 of 103 right (100.0 %)"
    assert bar.get_ylabel() == "share of the true species"
    for axes in (left, right):
        assert axes.get_xlabel() == "predicted species"
        assert axes.get_ylabel() == "true species"
        assert [label.get_text() for label in axes.get_xticklabels()] == CLASSES
        assert [label.get_text() for label in axes.get_yticklabels()] == CLASSES
    cells = [text.get_text() for text in left.texts]
    assert cells[0::2] == [str(count) for row in TRAINING for count in row]
    # Percentages of the row: 99, 0, 1 of 100 Adelies; 3, 0, 9 of 12 Chinstraps.
    assert cells[1::2][:3] == ["99.0 %", "0.0 %", "1.0 %"]
    assert cells[1::2][6:] == ["25.0 %", "0.0 %", "75.0 %"]


def test_png_is_the_same_each_time(tmp_path: Path) -> None:
    data = []
    for name in ("a.png", "b.png"):
        figure = plots.confusion_matrices({"Held out": HELD_OUT}, CLASSES, title="a model")
        plots.save(figure, str(tmp_path / name))
        data.append((tmp_path / name).read_bytes())
    assert data[0] == data[1]
    assert b"matplotlib" not in data[0].lower()


@pytest.mark.parametrize("what", ["loss", "confusion"])
def test_shipped_pictures(what: str, shipped_model: Path) -> None:
    data = shipped_model.with_name(f"penguin-classifier.{what}.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert 1000 <= width <= 2400
    assert 500 <= height <= 1400
    assert 20_000 < len(data) < 400_000
