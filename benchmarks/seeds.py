"""What the gate of training lets through: ``python -m benchmarks.seeds [SEEDS]``.

Trains the default recipe with the seeds from 0 on. Prints why each refused network is refused, and
the accuracy and log-loss of those that pass.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from penguin_model import cli
from penguin_model.training import baseline, dataset, fitting, gate

DATA = Path(__file__).parents[1] / "data/penguins.csv"


def main() -> None:
    """Trains, judges and prints."""
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    cli.quiet_libraries(verbose=False)
    data = dataset.load(str(DATA))
    training, test, features, classes = data.training, data.test, data.features, data.recipe.classes
    plain = gate.Answers(baseline.predict(training, test, features, len(classes)), test.labels)
    accuracy, loss, lost = [], [], 0
    for seed in range(seeds):
        config = fitting.TrainConfig(seed=seed)
        fitted = fitting.train_on(config, data.recipe, training, None, features)
        seen, unseen = (
            gate.Answers(fitted.predict(fitting.matrix(part, features)), part.labels)
            for part in (training, test)
        )
        found = gate.problems(unseen, plain, seen, classes, name=baseline.NAME)
        lost += any(": 0 of" in each for each in found)
        if found:
            print(f"seed {seed}: {'; '.join(found)}", flush=True)
        else:
            accuracy.append(unseen.right.mean())
            loss.append(unseen.losses.mean())
    print(
        f"{seeds} seeds: {lost} lose a species, {seeds - len(accuracy) - lost} more are refused, "
        f"{len(accuracy)} pass; those have an accuracy of {min(accuracy):.3f} to "
        f"{max(accuracy):.3f}, median log-loss {np.median(loss):.4f}, largest {max(loss):.4f}"
    )


if __name__ == "__main__":
    main()
