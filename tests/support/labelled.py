"""Labelled tables for networks of every kind."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

TREES = ("Girth", "LeafLength", "MeanFrost", "Moisture")


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def write_trees(path: Path, classes: Sequence[str], rows: int = 40, seed: int = 1) -> Path:
    """A table of four numbers and a label, of which every class has rows."""
    values = np.random.default_rng(seed).normal(0, 2, (rows, len(TREES))).round(3)
    labels = [classes[place % len(classes)] for place in range(rows)]
    table = [(*each, label) for each, label in zip(values.tolist(), labels, strict=True)]
    return write_csv(path, [*TREES, "Tree"], table)


def write_blobs(path: Path, rows: int = 90, seed: int = 2, shift: float = 4.0) -> Path:
    """A table of two numbers, x and y, and three classes that they tell apart."""
    numbers = np.random.default_rng(seed)
    centres = np.array([[0, 0], [shift, 0], [0, shift]])
    labels = np.arange(rows) % 3
    values = (centres[labels] + numbers.normal(0, 0.5, (rows, 2))).round(3)
    table = [(*each, "abc"[label]) for each, label in zip(values.tolist(), labels, strict=True)]
    return write_csv(path, ["x", "y", "kind"], table)
