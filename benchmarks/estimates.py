"""How often the interval of the estimated accuracy has the accuracy that labels would show.

`python -m benchmarks.estimates` prints a Markdown table, in half a minute; the seeds are fixed.
Each of many nights has its own held-out rows, on which the calibration is measured (by least
squares), or the calibration is exact. A row has a probability, and is right by chance:

- "as held out": the night's probabilities are spread as those of the held-out rows;
- "more hard cases": one row in two is a hard one, instead of one in ten;
- "overconfident": as held out, but a prediction is right less often than its probability says,
  which the calibration knows;
- "concept drift": as held out, but since then one prediction in ten that was right is wrong.
"""

import argparse
from typing import Any, NamedTuple

import numpy as np

from penguin_model.card import Calibration, Histogram
from pipelines.monitoring import estimate, histograms

KNOTS = (0.0, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0)
EDGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # as in the shipped card
KINDS = ("as held out", "more hard cases", "overconfident", "concept drift")
EXACT_ROWS = 10**9
ROWS = (30, 300, 3000, 100_000)
HELD_OUT = (103, 1000, None)

Shares = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Measured(NamedTuple):
    """What many nights came to.

    Attributes:
      coverage: the fraction of nights whose accuracy is in the interval.
      error: the mean of estimated less true accuracy.
      width: the interval's mean width.
    """

    coverage: float
    error: float
    width: float


def draw(random: np.random.Generator, rows: int, hard: float) -> Shares:
    """Probabilities of the predicted classes: most are almost certain."""
    easy = 1 - random.beta(1, 60, rows)
    chosen = np.where(random.random(rows) < hard, random.uniform(0.4, 1, rows), easy)
    return chosen.astype(np.float32)


def chances(best: Shares, kind: str) -> Shares:
    """How often predictions of these probabilities are right when the model is trained."""
    return 1 / 3 + 0.85 * (best - 1 / 3) if kind == "overconfident" else best


def calibrate(
    random: np.random.Generator, rows: int | None, kind: str
) -> tuple[Calibration, Histogram]:
    """Measured on so many held-out rows, whose probabilities come with it; None is exact."""
    knots = np.array(KNOTS)
    best = draw(random, rows or 100_000, 0.1)
    if rows is None:
        shares = np.clip(chances(knots, kind), 0, 1)
    else:
        right = random.random(rows) < chances(best, kind)
        # Least squares with one hat function for each knot, and one row of prior at each.
        hats = np.array([np.interp(best, knots, each) for each in np.eye(len(knots))])
        shares = np.linalg.solve(hats @ hats.T + np.eye(len(knots)), hats @ right + knots)
    accuracy = tuple(np.clip(shares, 0, 1).tolist())
    calibration = Calibration(probability=KNOTS, accuracy=accuracy, rows=rows or EXACT_ROWS)
    counts = histograms.count_values(best, EDGES)
    return calibration, Histogram(edges=EDGES, counts=counts)


def measure(kind: str, rows: int, held_out: int | None, nights: int, seed: int = 0) -> Measured:
    """Estimates the accuracy of many nights, and compares it with the true one."""
    random = np.random.default_rng([seed, KINDS.index(kind), rows, held_out or 0])
    found = []
    for _ in range(nights):
        calibration, spread = calibrate(random, held_out, kind)
        best = draw(random, rows, 0.5 if kind == "more hard cases" else 0.1)
        right = random.random(rows) < chances(best, kind) * (0.9 if kind == "concept drift" else 1)
        counts = estimate.count_probabilities(best, calibration)
        figures = {(estimate.GROUP, name): each for name, each in counts.items()}
        night = estimate.estimate(figures, calibration, spread)
        assert night is not None
        true = right.mean()
        found.append(
            (night.low <= true <= night.high, night.accuracy - true, night.high - night.low)
        )
    return Measured(*np.mean(found, axis=0).tolist())


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nights", type=int, default=400)
    nights = parser.parse_args().nights
    print("| night | rows | held-out rows | in the interval | mean error | mean width |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in KINDS:
        for rows in ROWS:
            for held_out in HELD_OUT:
                found = measure(kind, rows, held_out, nights if rows < 10_000 else nights // 5)
                known = "exact" if held_out is None else f"{held_out:,}"
                print(
                    f"| {kind} | {rows:,} | {known} | {found.coverage:.1%} | {found.error:+.3f} | "
                    f"{found.width:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
